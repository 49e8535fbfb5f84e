"use strict";
(() => {
  // What is under the pointer.
  const tip = document.getElementById("tip");
  document.addEventListener("pointermove", (event) => {
    const text = event.target.dataset ? event.target.dataset.t : undefined;
    tip.style.display = text ? "block" : "none";
    if (!text) return;
    tip.textContent = text;
    const right = event.clientX + 14 + tip.offsetWidth > innerWidth;
    const below = event.clientY + 18 + tip.offsetHeight > innerHeight;
    tip.style.left = (right ? event.clientX - tip.offsetWidth - 10 : event.clientX + 14) + "px";
    tip.style.top = (below ? event.clientY - tip.offsetHeight - 10 : event.clientY + 18) + "px";
  });
  // Ticks at round times, about a hundred pixels apart.
  const tick = (axis, width) => {
    const end = parseFloat(axis.dataset.end) / 1000;
    const rough = end / Math.max(1, width / 100);
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough);
    const ticks = [];
    for (let at = 0; at * step < end && at < 100000; at++) {
      const span = document.createElement("span");
      span.style.left = (at * step * 100) / end + "%";
      span.textContent = +(at * step).toFixed(6) + " ms";
      ticks.push(span);
    }
    axis.replaceChildren(...ticks);
  };
  // Zoom in time, about the middle of what is seen.
  for (const button of document.querySelectorAll("[data-zoom]")) {
    button.addEventListener("click", () => {
      const scroll = button.parentElement.nextElementSibling.querySelector(".scroll");
      const plane = scroll.firstElementChild;
      const old = parseFloat(plane.dataset.scale || "1");
      const factor = parseFloat(button.dataset.zoom);
      const scale = factor === 0 ? 1 : Math.min(256, Math.max(1, old * factor));
      const middle = (scroll.scrollLeft + scroll.clientWidth / 2) / (scroll.clientWidth * old);
      plane.dataset.scale = String(scale);
      plane.style.width = scale * 100 + "%";
      tick(plane.querySelector(".axis"), scroll.clientWidth * scale);
      scroll.scrollLeft = middle * scroll.clientWidth * scale - scroll.clientWidth / 2;
    });
  }
})();
