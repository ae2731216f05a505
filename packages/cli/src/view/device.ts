// How a device is called.
import { type SystemInfo, systemInfo } from "@tunesmith/native";

/** `cpu`, or `cuda` with the name of the GPU. */
export function deviceName(backend: string, { cudaDevice }: Pick<SystemInfo, "cudaDevice"> = systemInfo()): string {
  return backend === "cuda" && cudaDevice !== null ? `cuda (${cudaDevice})` : backend;
}
