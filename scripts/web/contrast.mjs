// Contrast of text, as WCAG 2.2 defines it.

/** `{ what, ratio }` of every piece of text that the page shows. */
export function contrasts(page) {
  return page.evaluate(() => {
    const parse = (color) => color.match(/[\d.]+/g).map(Number);
    const luminance = (rgb) => {
      const [r, g, b] = rgb.map((value) => {
        const share = value / 255;
        return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
      });
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ground = (node) => {
      for (let at = node; at !== null; at = at.parentElement) {
        const [r, g, b, alpha = 1] = parse(getComputedStyle(at).backgroundColor);
        if (alpha === 1) return [r, g, b];
      }
      return [255, 255, 255];
    };
    const found = new Map();
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let text = walker.nextNode(); text !== null; text = walker.nextNode()) {
      const node = text.parentElement;
      const isSeen = node.checkVisibility({ visibilityProperty: true });
      // A disabled control needs none, and what is unsent is faint on purpose.
      if (text.data.trim() === "" || !isSeen || node.matches(":disabled, .unsent *")) continue;
      const color = parse(getComputedStyle(node).color).slice(0, 3);
      const lights = [luminance(color), luminance(ground(node))].sort((a, b) => b - a);
      const ratio = (lights[0] + 0.05) / (lights[1] + 0.05);
      const what = `${node.tagName.toLowerCase()}.${node.className} "${text.data.trim().slice(0, 30)}"`;
      found.set(what, { what, ratio });
    }
    return [...found.values()];
  });
}
