/** The runtime and the model lie in the page compressed, as text. */

/**
 * Return what was packed by gzip and base64.
 *
 * @param {string} text base64.
 * @returns {Promise<Uint8Array>}
 */
export async function unpacked(text) {
  const letters = atob(text);
  const compressed = new Uint8Array(letters.length);
  for (let place = 0; place < letters.length; place++) compressed[place] = letters.charCodeAt(place);
  const stream = new Blob([compressed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
