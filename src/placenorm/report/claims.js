"use strict";
// The article's example, step by step.
(() => {
  const stepper = document.getElementById("stepper");
  if (!stepper) return;
  const example = JSON.parse(document.getElementById("example").textContent);
  const { samples, neurons } = example;
  const bytes = Uint8Array.from(atob(example.raw), (letter) => letter.charCodeAt(0));
  const raw = Float32Array.from(bytes, (byte) => (byte > 127 ? byte - 256 : byte) / 10);
  const own = example.neuron - 1;
  const rightToLeft = document.documentElement.dir === "rtl";
  const still = window.matchMedia("(prefers-reduced-motion: reduce)");
  const matrix = stepper.querySelector(".matrix");
  const histogram = stepper.querySelector(".histogram");
  const tabs = [...stepper.querySelectorAll("[data-step]")];
  const panes = [...stepper.querySelectorAll("[data-says]")];
  const [previous, next] = stepper.querySelectorAll(".previous, .next");
  const last = panes.length - 1;
  const LEAST = -6; // of the colours and of the axis below the histogram
  const MOST = 8;
  const BINS = 56;
  const TOP = 22; // room above the matrix for the name of the neuron, in its own pixels
  const CELL = 6;
  const MEANS = 16; // height of the row of means
  const MILLISECONDS = 600;

  const inDigits = (number) => String(number).replace("-", "−").replace(/\d/g, (digit) => example.digits[digit]);

  const valuesAt = (step) =>
    raw.map((value, place) => {
      const neuron = place % neurons;
      if (step < 2) return value;
      const centred = value - example.means[neuron];
      if (step === 2) return centred;
      const divided = centred / example.sds[neuron];
      return step === 3 ? divided : example.gammas[neuron] * divided + example.betas[neuron];
    });

  // From blue over the colour of the page to orange: as far from 0 as the colour is strong.
  const paletteOf = (element) => {
    const style = getComputedStyle(element);
    const parse = (name) => {
      const hex = style.getPropertyValue(name).trim();
      return [1, 3, 5].map((place) => parseInt(hex.slice(place, place + 2), 16));
    };
    return {
      below: parse("--slot-1"),
      middle: parse("--surface"),
      above: parse("--slot-2"),
      ink: style.getPropertyValue("--ink").trim(),
      muted: style.getPropertyValue("--muted").trim(),
      grid: style.getPropertyValue("--grid").trim(),
      accent: style.getPropertyValue("--accent").trim(),
    };
  };
  const mix = (palette, value) => {
    const share = Math.min(1, Math.abs(value) / 4);
    const end = value < 0 ? palette.below : palette.above;
    return palette.middle.map((part, place) => part + (end[place] - part) * share);
  };

  const drawMatrix = (values, step) => {
    const palette = paletteOf(stepper);
    const width = neurons * CELL;
    matrix.width = width;
    matrix.height = TOP + samples * 3 + MEANS + 6;
    const context = matrix.getContext("2d");
    const cells = new ImageData(neurons, samples);
    values.forEach((value, place) => {
      const [red, green, blue] = mix(palette, value);
      cells.data.set([red, green, blue, 255], 4 * place);
    });
    const small = new OffscreenCanvas(neurons, samples);
    small.getContext("2d").putImageData(cells, 0, 0);
    context.imageSmoothingEnabled = false;
    context.drawImage(small, 0, TOP, width, samples * 3);
    if (step >= 1) {
      const under = TOP + samples * 3 + 6;
      for (let neuron = 0; neuron < neurons; neuron += 1) {
        let sum = 0;
        for (let sample = 0; sample < samples; sample += 1) sum += values[sample * neurons + neuron];
        context.fillStyle = `rgb(${mix(palette, sum / samples).join(",")})`;
        context.fillRect(neuron * CELL, under, CELL, MEANS);
      }
      context.strokeStyle = palette.muted;
      context.strokeRect(0.5, under + 0.5, width - 1, MEANS - 1);
    }
    context.strokeStyle = palette.ink;
    context.lineWidth = 2.5;
    context.strokeRect(own * CELL - 1.5, TOP - 1.5, CELL + 3, samples * 3 + (step >= 1 ? MEANS + 9 : 3));
    context.fillStyle = palette.ink;
    context.font = `600 14px ${getComputedStyle(document.body).fontFamily}`;
    context.direction = document.documentElement.dir || "ltr";
    context.textAlign = "left";
    context.fillText(example.words.neuron, own * CELL - 2, TOP - 7);
  };

  const columnOf = (values) => Array.from({ length: samples }, (_, sample) => values[sample * neurons + own]);
  const countBins = (column) => {
    const counts = new Array(BINS).fill(0);
    for (const value of column) {
      const bin = Math.floor(((value - LEAST) / (MOST - LEAST)) * BINS);
      if (bin >= 0 && bin < BINS) counts[bin] += 1;
    }
    return counts;
  };
  const tallest = Math.max(...panes.flatMap((_, step) => countBins(columnOf(valuesAt(step)))));

  const drawHistogram = (values) => {
    const palette = paletteOf(stepper);
    const scale = 2;
    const width = 600;
    const height = 190;
    const floor = height - 30;
    histogram.width = width * scale;
    histogram.height = height * scale;
    const context = histogram.getContext("2d");
    context.scale(scale, scale);
    const across = (value) => ((value - LEAST) / (MOST - LEAST)) * width;
    const column = columnOf(values);
    const counts = countBins(column);
    counts.forEach((count, bin) => {
      const middle = LEAST + ((bin + 0.5) * (MOST - LEAST)) / BINS;
      const [red, green, blue] = mix(palette, Math.sign(middle) * 3);
      context.fillStyle = `rgb(${red},${green},${blue})`;
      const tall = (Math.min(count, tallest) / tallest) * (floor - 24);
      context.fillRect((bin * width) / BINS + 1, floor - tall, width / BINS - 2, tall);
    });
    context.strokeStyle = palette.muted;
    context.fillStyle = palette.muted;
    context.font = `13px ${getComputedStyle(document.body).fontFamily}`;
    context.textAlign = "center";
    context.direction = "ltr";
    context.beginPath();
    context.moveTo(0, floor + 0.5);
    context.lineTo(width, floor + 0.5);
    for (let tick = LEAST + 1; tick < MOST; tick += 1) {
      context.moveTo(across(tick), floor);
      context.lineTo(across(tick), floor + 5);
      context.fillText(inDigits(tick), across(tick), floor + 21);
    }
    context.stroke();
    const mean = column.reduce((sum, value) => sum + value, 0) / samples;
    context.strokeStyle = palette.ink;
    context.lineWidth = 2;
    context.beginPath();
    context.moveTo(across(mean), 20);
    context.lineTo(across(mean), floor);
    context.stroke();
    context.fillStyle = palette.ink;
    context.direction = document.documentElement.dir || "ltr";
    context.fillText(example.words.mean, across(mean), 14);
  };

  let place = 0;
  let shown = valuesAt(0);
  let frame = 0;
  let end = 0;
  const paint = (values, step) => {
    shown = values;
    drawMatrix(values, step);
    drawHistogram(values);
  };
  const go = (to, animate = true) => {
    place = Math.max(0, Math.min(last, to));
    tabs.forEach((tab, step) => {
      if (step === place) tab.setAttribute("aria-current", "step");
      else tab.removeAttribute("aria-current");
    });
    panes.forEach((pane, step) => (pane.hidden = step !== place));
    // Not `disabled`: a button that is loses the focus, and with it the arrow keys.
    previous.setAttribute("aria-disabled", String(place === 0));
    next.setAttribute("aria-disabled", String(place === last));
    cancelAnimationFrame(frame);
    clearTimeout(end);
    const target = valuesAt(place);
    if (!animate || still.matches) {
      paint(target, place);
      return;
    }
    const from = shown;
    const started = performance.now();
    const tick = (now) => {
      const gone = Math.min(1, Math.max(0, now - started) / MILLISECONDS);
      const eased = gone * gone * (3 - 2 * gone);
      paint(from.map((value, index) => value + (target[index] - value) * eased), place);
      if (gone < 1) frame = requestAnimationFrame(tick);
    };
    frame = requestAnimationFrame(tick);
    // No frames come while the page is not seen: the step ends all the same.
    end = setTimeout(() => {
      cancelAnimationFrame(frame);
      paint(target, place);
    }, 2 * MILLISECONDS);
  };
  previous.addEventListener("click", () => go(place - 1));
  next.addEventListener("click", () => go(place + 1));
  tabs.forEach((tab, step) => tab.addEventListener("click", () => go(step)));
  stepper.addEventListener("keydown", (event) => {
    const forward = rightToLeft ? "ArrowLeft" : "ArrowRight";
    const back = rightToLeft ? "ArrowRight" : "ArrowLeft";
    if (event.key !== forward && event.key !== back) return;
    event.preventDefault();
    go(place + (event.key === forward ? 1 : -1));
  });
  stepper.classList.add("live");
  const repaint = () => paint(shown, place);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
  window.addEventListener("beforeprint", () => panes.forEach((pane) => (pane.hidden = false)));
  window.addEventListener("afterprint", () => go(place, false));
  document.fonts.ready.then(() => go(0, false));
  go(0, false);
})();
