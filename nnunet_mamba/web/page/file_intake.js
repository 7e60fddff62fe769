/** How images come into the page: chosen, photographed, dropped or pasted. */

/**
 * Call a function with every list of files that the user gives.
 *
 * @param {{inputs: HTMLInputElement[], take: (files: File[]) => void}} where the file inputs, and the function.
 */
export function takeFiles({ inputs, take }) {
  for (const input of inputs) {
    input.addEventListener("change", () => {
      take([...input.files]);
      // So that the same file can be chosen again.
      input.value = "";
    });
  }
  document.addEventListener("paste", ({ clipboardData }) => giveFiles(clipboardData, take));
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  document.addEventListener("dragleave", ({ relatedTarget }) => {
    if (relatedTarget === null) document.body.classList.remove("dropping");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dropping");
    giveFiles(event.dataTransfer, take);
  });
}

function giveFiles(data, take) {
  const files = [...(data?.files ?? [])];
  if (files.length > 0) take(files);
}
