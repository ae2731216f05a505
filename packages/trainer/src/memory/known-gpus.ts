// Memory of GPUs that a run could be taken to: data alone.

/** GPUs with the same memory. */
export interface KnownGpus {
  /** Some of them, by the vendor's names. */
  names: string;
  /** Their memory in GB. */
  gigabytes: number;
}

/**
 * Of compute capability 8.0 or newer, which the kernels need. Sizes were compared with those of huggingface.js
 * (packages/tasks/src/hardware-nvidia.ts), but for the B200: MLPerf's entries have it as NVIDIA B200-SXM-180GB
 * (inference_results_v6.0, closed/Nebius/systems), where that list has the 192 GB of its announcement.
 */
export const knownGpus: readonly KnownGpus[] = [
  { names: "RTX 4060, RTX 3070", gigabytes: 8 },
  { names: "RTX 4070, RTX 3060", gigabytes: 12 },
  { names: "RTX 5080, RTX 4080", gigabytes: 16 },
  { names: "RTX 4090, RTX 3090, L4, A10", gigabytes: 24 },
  { names: "RTX 5090", gigabytes: 32 },
  { names: "A100 40GB", gigabytes: 40 },
  { names: "L40S, RTX 6000 Ada, RTX A6000", gigabytes: 48 },
  { names: "H100, A100 80GB", gigabytes: 80 },
  { names: "RTX PRO 6000 Blackwell", gigabytes: 96 },
  { names: "H200", gigabytes: 141 },
  { names: "B200", gigabytes: 180 },
];

/** Share of a GPU's memory that is left to its driver, a screen and other programs. An allowance, not a measurement. */
export const reservedShare = 0.05;
