// Memory of GPUs that a run could be taken to: data alone.

/** GPUs with the same memory. */
export interface KnownGpus {
  /** Some of them, by the vendor's names. */
  names: string;
  /** Their memory in GB. */
  gigabytes: number;
}

/** Of compute capability 8.0 or newer, which the kernels need. Source of the sizes: NVIDIA's product pages and data sheets. */
export const knownGpus: readonly KnownGpus[] = [
  { names: "RTX 4060, RTX 3070", gigabytes: 8 },
  { names: "RTX 4070, RTX 3060", gigabytes: 12 },
  { names: "RTX 5080, RTX 4080", gigabytes: 16 },
  { names: "RTX 4090, RTX 3090, L4, A10", gigabytes: 24 },
  { names: "A100 40GB", gigabytes: 40 },
  { names: "L40S, RTX 6000 Ada, RTX A6000", gigabytes: 48 },
  { names: "H100, A100 80GB", gigabytes: 80 },
  { names: "RTX PRO 6000 Blackwell", gigabytes: 96 },
  { names: "H200", gigabytes: 141 },
  { names: "B200", gigabytes: 180 },
];

/** Share of a GPU's memory that is left to its driver, a screen and other programs. An allowance, not a measurement. */
export const reservedShare = 0.05;
