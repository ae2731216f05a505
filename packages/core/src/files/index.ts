// Files: the operations of every package with their typed errors, and the one way to replace a file or folder whole.
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
export { placeFile, recoverFolder, removeFolder, removeLeftovers, replaceFile, replaceFolder } from "./replace.ts";
