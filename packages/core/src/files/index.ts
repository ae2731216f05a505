// Files: the operations of every package with their typed errors, and the one way to replace a file or folder whole.
export { expandHome, huggingFaceHome } from "./home.ts";
export { refuseInput } from "./inputs.ts";
export { LineFile } from "./line-file.ts";
export { FileLock, type LockWait } from "./lock.ts";
export { makeFolders } from "./make-folders.ts";
export {
  digestFile,
  exists,
  fileOperation,
  fileOperations,
  freeSpace,
  isDiskFull,
  isRefused,
  list,
  makeFolder,
  move,
  remove,
  syncFolder,
  syncPath,
  writeText,
} from "./operations.ts";
export { exportManifestName, type OutputPlace, writeOutputFile, writeOutputFolder } from "./output.ts";
export { placeFile, recoverFolder, removeFolder, removeLeftovers, replaceFile, replaceFolder } from "./replace.ts";
