// Draws the figures that book_plotly.py left in the page, in the page's colours and no wider than the page.
(function () {
  'use strict';

  // Scenes are drawn by WebGL, which knows no transparency in lines: `solid` is the grid on the page's ground.
  const INKS = {
    light: { text: '#4a4a4a', grid: 'rgba(0, 0, 0, 0.12)', solid: '#d9d9d9', line: '#9a9a9a', paper: '#ffffff' },
    dark: { text: '#d0d0d0', grid: 'rgba(255, 255, 255, 0.16)', solid: '#454545', line: '#858585', paper: '#1f1f1f' },
  };
  const NONE = 'rgba(0, 0, 0, 0)';
  const NEAR = '600px'; // figures this far outside the window are drawn already
  const NARROW = 480; // pixels below which legends go under the figure
  const BELOW_AXIS = 64; // pixels for an axis's numbers and title
  const NUMBER = 24; // pixels of width that a number on a cell of a heatmap takes
  const SMALLEST = 0.6; // of its own size, for a figure that keeps its proportions

  const figures = []; // those drawn so far

  const ink = () => INKS[document.documentElement.dataset.theme === 'dark' ? 'dark' : 'light'];

  // Colours of everything that is not data. As a template they reach every axis, scene, colour bar and
  // legend, and give way to what the figure itself sets.
  function template(own = {}) {
    const { text, grid, solid, line, paper } = ink();
    const axis = { gridcolor: grid, linecolor: line, tickcolor: line, zerolinecolor: line };
    const wall = { ...axis, gridcolor: solid, backgroundcolor: NONE, showbackground: false };
    const layout = {
      paper_bgcolor: NONE,
      plot_bgcolor: NONE,
      font: { color: text },
      xaxis: axis,
      yaxis: axis,
      scene: { xaxis: wall, yaxis: wall, zaxis: wall, bgcolor: NONE },
      polar: { bgcolor: NONE, angularaxis: axis, radialaxis: axis },
      coloraxis: { colorbar: { tickcolor: line, outlinecolor: line } },
      annotationdefaults: { arrowcolor: line },
      hoverlabel: { bgcolor: paper, bordercolor: line, font: { color: text } },
      modebar: { color: line, activecolor: text, bgcolor: NONE },
    };
    return { ...own, layout: merge(own.layout || {}, layout) };
  }

  function merge(base, extra) {
    const result = { ...base };
    for (const [key, value] of Object.entries(extra)) {
      const both = typeof value === 'object' && typeof base[key] === 'object';
      result[key] = both ? merge(base[key], value) : value;
    }
    return result;
  }

  // A figure may set text colours itself (an annotation's, a title's, a legend's). A grey one is ink, and
  // follows the page; a hue means something, and stays.
  function greyTexts(layout, path = '') {
    return Object.entries(layout).flatMap(([key, value]) => {
      const here = Array.isArray(layout) ? `${path}[${key}]` : path ? `${path}.${key}` : key;
      if (key === 'template' || !value) return [];
      if (typeof value === 'object') return greyTexts(value, here);
      return here.endsWith('font.color') && isGrey(value) ? [here] : [];
    });
  }

  function isGrey(color) {
    const pen = document.createElement('canvas').getContext('2d');
    pen.fillStyle = color; // is written back as #rrggbb
    const channels = (pen.fillStyle.match(/^#(..)(..)(..)$/) || []).slice(1).map((hex) => parseInt(hex, 16));
    return channels.length === 3 && Math.max(...channels) - Math.min(...channels) < 24;
  }

  function colors(figure) {
    const texts = figure.greyTexts.map((path) => [path, ink().text]);
    return { template: template(figure.layout.template), ...Object.fromEntries(texts) };
  }

  // As wide as the page; but a figure that sets its width is never wider, and keeps its proportions.
  function size(figure) {
    const available = figure.element.clientWidth;
    const own = figure.layout.width || Infinity;
    const scale = own < Infinity ? Math.max(SMALLEST, Math.min(1, available / own)) : 1;
    return { width: Math.min(available, own), height: Math.round(figure.height * scale) };
  }

  // Legends beside a figure leave too little of it where the page is narrow: there they go below it.
  function legendsBeside(layout, data) {
    const named = data.length > 1 || layout.showlegend ? data.filter((trace) => trace.showlegend !== false) : [];
    const names = new Set(named.map((trace) => trace.legend || 'legend'));
    return [...names].filter((name) => layout.showlegend !== false && ((layout[name] || {}).x ?? 1) >= 1);
  }

  async function fit(figure) {
    const { box, element, layout, legends } = figure;
    const fitting = size(figure);
    figure.width = element.clientWidth;
    const narrow = fitting.width < NARROW && legends.length > 0;
    const changes = { ...fitting, 'margin.b': (layout.margin || {}).b ?? null };
    for (const name of legends) {
      const own = layout[name] || {};
      const below = { orientation: 'h', x: 0, xanchor: 'left', y: 0, yref: 'container', yanchor: 'bottom' };
      for (const key of Object.keys(below)) changes[`${name}.${key}`] = narrow ? below[key] : own[key] ?? null;
    }
    await Plotly.relayout(box, changes);
    if (narrow) {
      // How high a legend is, is known once it has been drawn.
      const heights = legends.map((name) => (box._fullLayout[name] || {})._height || 0);
      const all = heights.reduce((sum, height) => sum + height, 0);
      const height = fitting.height + all;
      const places = legends.map((name, row) => {
        const under = heights.slice(row + 1).reduce((sum, other) => sum + other, 0);
        return [`${name}.y`, under / height];
      });
      fitting.height = height;
      await Plotly.relayout(box, { height, 'margin.b': all + BELOW_AXIS, ...Object.fromEntries(places) });
    }
    element.style.minHeight = `${fitting.height}px`;
    await fitNumbers(figure);
  }

  // Numbers on cells that are too small for them overlap: then they are left to hovering.
  async function fitNumbers({ box, numbers }) {
    for (const [trace, { texttemplate, columns }] of numbers) {
      const roomy = box._fullLayout.xaxis._length >= columns * NUMBER;
      await Plotly.restyle(box, { texttemplate: roomy ? texttemplate : '' }, [trace]);
    }
  }

  // Heatmaps with numbers on their cells: [[trace, {texttemplate, columns}], ...].
  function numbersOnCells(data) {
    const traces = data.map(({ type, texttemplate, x }, trace) => [trace, { type, texttemplate, columns: (x || []).length }]);
    return traces.filter(([, { type, texttemplate }]) => type === 'heatmap' && texttemplate);
  }

  function draw(element) {
    const source = element.querySelector('script');
    if (!source) return;
    const { data, layout = {}, config = {}, frames } = JSON.parse(source.textContent);
    const box = document.createElement('div');
    source.remove();
    element.append(box);
    const figure = {
      element,
      box,
      layout,
      greyTexts: greyTexts(layout),
      legends: legendsBeside(layout, data),
      numbers: numbersOnCells(data),
      height: layout.height || parseFloat(element.style.minHeight),
    };
    const { plotlyServerURL, ...wanted } = config;
    const settings = {
      displaylogo: false,
      displayModeBar: window.matchMedia('(hover: hover)').matches ? 'hover' : false,
      modeBarButtonsToRemove: ['select2d', 'lasso2d'],
      ...wanted,
      showSendToCloud: false,
      responsive: false, // `fit` does it, with proportions and legends
    };
    const styled = { ...layout, ...size(figure), template: template(layout.template), autosize: false };
    // A finger that scrolls the page must not zoom into the figure.
    if (window.matchMedia('(pointer: coarse)').matches) styled.dragmode = false;
    Plotly.newPlot(box, data, styled, settings)
      .then(() => figure.greyTexts.length && Plotly.relayout(box, colors(figure)))
      .then(() => fit(figure))
      .then(() => frames && Plotly.addFrames(box, frames))
      .then(() => {
        figures.push(figure);
        element.dataset.drawn = 'true';
        new ResizeObserver(() => {
          if (element.clientWidth && element.clientWidth !== figure.width) fit(figure);
        }).observe(element);
      });
  }

  const elements = document.querySelectorAll('.book-plotly');
  const watcher = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        watcher.unobserve(entry.target);
        draw(entry.target);
      }
    },
    { rootMargin: NEAR },
  );
  elements.forEach((element) => watcher.observe(element));
  window.addEventListener('beforeprint', () => elements.forEach(draw));
  new MutationObserver(() => figures.forEach((figure) => Plotly.relayout(figure.box, colors(figure)))).observe(
    document.documentElement,
    { attributeFilter: ['data-theme'] },
  );
})();
