const dialog = document.querySelector("dialog");
const frame = dialog.querySelector(".frame");
const facts = dialog.querySelector(".about");
const pictures = [...document.querySelectorAll("main button.picture")];
let current = 0;

function open(index) {
  current = (index + pictures.length) % pictures.length;
  const button = pictures[current];
  const copy = document.createElement("div");
  copy.className = button.className;
  copy.style.cssText = button.style.cssText;
  copy.append(...[...button.children].map((child) => child.cloneNode(true)));
  frame.replaceChildren(copy);
  facts.replaceChildren(button.parentElement.querySelector("template").content.cloneNode(true));
  if (!dialog.open) dialog.showModal();
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("main button.picture");
  if (button) open(pictures.indexOf(button));
  else if (event.target === dialog) dialog.close();
});
dialog.addEventListener("close", () => pictures[current].focus());
dialog.addEventListener("keydown", (event) => {
  if (event.key === "ArrowRight") open(current + 1);
  if (event.key === "ArrowLeft") open(current - 1);
});
dialog.querySelector(".next").addEventListener("click", () => open(current + 1));
dialog.querySelector(".previous").addEventListener("click", () => open(current - 1));
