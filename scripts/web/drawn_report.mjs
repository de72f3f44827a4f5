// The report of a context, as the server sent it and as the page has drawn it.

/** The report in the stream of an answer. */
export function reportOf(stream) {
  const data = [...stream.matchAll(/^data: (\{.*)$/gm)].map(([, json]) => JSON.parse(json));
  const report = data.find((chunk) => chunk.choices && chunk.context_budget?.zones);
  return report.context_budget;
}

/** What the page shows: the tokens of zones and prompt, the legend, edits, and widths of bars. */
export function sizes(page) {
  return page.locator("#budget").evaluate((root) => {
    const number = (node) => Number(node.textContent.replaceAll(",", ""));
    const tokens = (row) => Object.fromEntries([...row.querySelectorAll("[data-tokens]")]
      .map((cell) => [cell.dataset.tokens, number(cell)]));
    const bodies = [...root.querySelectorAll("tbody[data-zone]")];
    const zones = Object.fromEntries(bodies.map((body) => [body.dataset.zone, tokens(body)]));
    const bars = bodies.map((body) => {
      const width = (kind) => body.querySelector(`.stack:last-child .${kind}`)
        ?.getBoundingClientRect().width ?? 0;
      const cachedWidth = width("cached");
      return { ...zones[body.dataset.zone], cachedWidth, width: cachedWidth + width("computed") };
    });
    const lists = [...root.querySelectorAll("h3")];
    const made = lists.find((title) => title.textContent.startsWith("Edits"));
    return {
      zones,
      bars: bars.filter(({ after }) => after > 0),
      prompt: tokens(root.querySelector("tfoot")),
      legend: [...root.querySelectorAll(".legend li")].map((item) => item.textContent),
      edits: made?.nextElementSibling.children.length ?? 0,
    };
  });
}
