/** Save what was made. */

// A browser may still be reading a file for this long after it was told to save it.
const READING_MS = 60_000;

/**
 * Let the browser save a file.
 *
 * @param {Blob} content of the file.
 * @param {string} name of the file.
 */
export function save(content, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), READING_MS);
}

/** Return a file's name without its ending. */
export function stem(name) {
  return name.replace(/\.[^.]+$/, "") || "image";
}
