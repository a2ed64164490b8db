"use strict";
// Draws every chart into the element of its name. Expressions are interpreted (`ast`), so that the page needs no eval.
(() => {
  const specs = JSON.parse(document.getElementById("charts").textContent);
  const options = {
    mode: "vega-lite",
    renderer: "svg",
    actions: false,
    ast: true,
    tooltip: { theme: "custom" },
  };
  const drawings = Object.entries(specs).map(([name, spec]) => {
    const place = document.getElementById(`chart-${name}`);
    const words = place.innerHTML;
    return window.vegaEmbed(place, spec, options).then(
      () => place.classList.add("drawn"),
      (error) => {
        place.innerHTML = words; // the alt text, escaped by the template: a chart that fails still says what it shows
        console.error(`The chart ${name} could not be drawn:`, error);
      },
    );
  });
  Promise.allSettled(drawings).then(() => {
    document.documentElement.dataset.charts = String(document.querySelectorAll(".chart.drawn").length);
  });

  for (const button of document.querySelectorAll(".copy")) {
    const code = button.parentElement.querySelector("code");
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(code.textContent);
        button.textContent = "Copied";
      } catch {
        window.getSelection().selectAllChildren(code); // no clipboard here: selected, it takes one key
        button.textContent = "Selected";
      }
      setTimeout(() => (button.textContent = "Copy"), 2000);
    });
  }

  // What is folded away on the screen is wanted on paper.
  window.addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details")) details.open = true;
  });
})();
