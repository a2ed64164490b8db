"use strict";
// Draws every chart into the element of its name. Expressions are interpreted (`ast`), so that the page needs no eval.
(() => {
  const words = document.body.dataset; // what buttons say, in the reader's language
  const specs = JSON.parse(document.getElementById("charts").textContent);
  const options = {
    mode: "vega-lite",
    renderer: "svg",
    actions: false,
    ast: true,
    tooltip: { theme: "custom" },
    formatLocale: words.numerals ? JSON.parse(words.numerals) : undefined,
  };
  const draw = ([name, spec]) => {
    const place = document.getElementById(`chart-${name}`);
    const inWords = place.innerHTML;
    return window.vegaEmbed(place, spec, options).then(
      (result) => {
        place.view = result.view;
        place.classList.add("drawn");
      },
      (error) => {
        place.innerHTML = inWords; // the alt text, escaped by the template: a chart that fails still says what it shows
        console.error(`The chart ${name} could not be drawn:`, error);
      },
    );
  };
  const drawAll = async () => {
    // Letters are measured while a chart is drawn: a font of the page has to be there by then.
    await Promise.all([...document.fonts].map((font) => font.load())).catch(() => {});
    await Promise.allSettled(Object.entries(specs).map(draw));
    document.documentElement.dataset.charts = String(document.querySelectorAll(".chart.drawn").length);
  };
  drawAll();

  // A legend's buttons hide groups in the charts of its figure, or in all that it stands above.
  for (const legend of document.querySelectorAll("div.legend")) {
    const buttons = [...legend.querySelectorAll("button")];
    const charts = legend.closest("figure, .filtered").querySelectorAll(".chart");
    for (const button of buttons) {
      button.addEventListener("click", () => {
        button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
        const pressed = (each) => each.getAttribute("aria-pressed") === "true";
        const hidden = buttons.filter((each) => !pressed(each)).map((each) => each.dataset.group);
        for (const chart of charts) chart.view?.signal("hidden", hidden).runAsync();
      });
    }
  }

  for (const button of document.querySelectorAll(".copy")) {
    const code = button.parentElement.querySelector("code");
    const before = button.textContent;
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(code.textContent);
        button.textContent = words.copied ?? "Copied";
      } catch {
        window.getSelection().selectAllChildren(code); // no clipboard here: selected, it takes one key
        button.textContent = words.selected ?? "Selected";
      }
      setTimeout(() => (button.textContent = before), 2000);
    });
  }

  // What is folded away on the screen is wanted on paper.
  window.addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details")) details.open = true;
  });
})();
