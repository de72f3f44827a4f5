// The web page in a real browser, on a real server.
//
//     node page.test.mjs PURSER [FOLDER]
//
// PURSER is the server's binary; screenshots go into FOLDER. The browser is $CHROMIUM, or
// /usr/bin/chromium.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { chromium } from "playwright-core";

import { contrasts } from "./contrast.mjs";
import { reportOf, sizes } from "./drawn_report.mjs";
import { routeRecords } from "./records.mjs";
import { killServers, startServer } from "./server.mjs";
import { WatchedPage } from "./watched_page.mjs";

const [binary, folder = "screenshots"] = process.argv.slice(2);
if (binary === undefined) throw new Error("usage: node page.test.mjs PURSER [FOLDER]");
mkdirSync(folder, { recursive: true });

const FACTS = "The budget of project Falcon is 4312 euros. The port of the proxy is 8443.";
const QUESTION = "What is the budget of project Falcon?";
const ANSWER = "The budget of project Falcon is 4312 euros.";

/** Before the question of which pictures are taken. */
const SAID = [
  "The code of the lab is 4471. We decided to ship the release on Friday.",
  "My name is Ada. The goal is to move the archive to the new depot.",
  "What is the code of the lab?",
  "Noah will order the cables by Monday. The capital of Norland is Vessa.",
  "The colour of the gate is green. The owner of the depot is Mira Holt.",
  "What is the port of the proxy?",
];

/** A server without records of requests answers 404 to who asks for them. */
const asksForRecords = (text, url) => url.includes("/v1/requests") && text.includes("404");

let browser;
let server;

before(async () => {
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking",
      "--disable-component-update", "--disable-sync", "--no-first-run"],
  });
  server = await startServer(binary);
});

after(async () => {
  await browser?.close();
  const status = await server?.stop();
  killServers();
  assert.equal(status, 0, "the server's exit status");
});

const open = (options) => WatchedPage.open(browser, server, { expected: asksForRecords, ...options });

/** Lets a question have a long answer, whatever the model would like to stop at. */
const answerAtLength = (page, tokens = 4000) => page.route("**/v1/chat/completions", (route) => {
  const body = { ...route.request().postDataJSON(), ignore_eos: true, max_tokens: tokens };
  return route.continue({ postData: JSON.stringify(body) });
});

test("the keyboard is enough, and the answer streams", async () => {
  const watched = await open();
  const { page } = watched;
  await watched.until(() => watched.text("#window"), (text) => assert.match(text, /window [\d,]+ tokens/));
  const model = (await server.read("/v1/models")).data[0];
  assert.equal(await page.locator("#model").inputValue(), model.id);

  // From the message, where the focus is, backwards to the settings and forwards through them.
  const focused = () => page.evaluate(() => document.activeElement.id || document.activeElement.tagName);
  const press = (key) => page.keyboard.press(key);
  assert.equal(await focused(), "prompt");
  await press("Shift+Tab");
  assert.equal(await focused(), "SUMMARY");
  const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  assert.equal(outline, "solid", "the focus is visible");
  await press("Enter");
  for (const [field, value] of [
    ["system", FACTS], ["temperature", "0"], ["max-tokens", "64"], ["budget-mode", null],
    ["budget-tokens", "900"], ["prompt", "What is the budget"],
  ]) {
    await press("Tab");
    assert.equal(await focused(), field);
    if (value !== null) await page.keyboard.type(value);
  }
  await press("Shift+Enter");
  await page.keyboard.type("of project Falcon?");
  assert.equal(await page.locator("#prompt").inputValue(), "What is the budget\nof project Falcon?");
  await page.locator("#prompt").fill(QUESTION);

  await page.evaluate(() => {
    window.seen = new Set();
    const log = document.getElementById("log");
    const look = () => window.seen.add(log.querySelector(".assistant .text")?.textContent);
    new MutationObserver(look).observe(log, { childList: true, characterData: true, subtree: true });
  });
  await press("Enter");
  const answer = page.locator(".turn.assistant").first();
  await answer.and(page.locator(":not([aria-busy])")).waitFor();
  assert.equal(await answer.locator(".text").innerText(), ANSWER);
  const seen = await page.evaluate(() => [...window.seen]);
  assert.ok(seen.length > 5, `the text came in ${seen.length} pieces`);
  assert.ok(seen.every((text) => ANSWER.startsWith(text ?? "")), JSON.stringify(seen));
  const usage = /0 of 52 prompt tokens cached · 16 tokens/;
  assert.match(await answer.locator(".note").innerText(), usage);
  assert.equal(await focused(), "prompt");
  assert.equal(await page.locator("#prompt").inputValue(), "");
  await watched.close();
});

test("zones are drawn with the numbers of the report", async () => {
  const watched = await open();
  const { page } = watched;
  await page.locator("summary").click();
  await page.locator("#system").fill(FACTS);
  await page.locator("#temperature").fill("0");
  await page.locator("#budget-tokens").fill("420");
  let report;
  for (let turn = 0; turn < 9; turn += 1) {
    const response = page.waitForResponse("**/v1/chat/completions");
    await watched.ask(`Note ${turn}: the code of room ${turn} is ${1000 + 37 * turn}. ${QUESTION}`);
    report = reportOf(await (await response).text());
    const drawn = await sizes(page);
    assert.deepEqual(drawn.zones, expectedZones(report), `turn ${turn}`);
    assert.deepEqual(drawn.prompt, {
      before: report.stages.received, after: report.stages.rendered,
      cached: report.cache.matched, computed: report.cache.prefilled,
    });
    const left = report.budget.remaining.toLocaleString("en");
    assert.ok(drawn.legend.includes(`${left} left`), drawn.legend.join());
    assert.equal(drawn.edits, report.edits.length);
    for (const { cached, after: all, width, cachedWidth } of drawn.bars) {
      assert.ok(Math.abs(cachedWidth - (width * cached) / all) <= 2, JSON.stringify(drawn.bars));
    }
  }
  assert.equal(report.status, "edited", "the conversation has outgrown its budget");
  assert.ok(report.cache.matched > 0 && report.edits.length > 0);
  await page.locator("#budget-mode").selectOption("off");
  await watched.ask(QUESTION);
  assert.match(await watched.text("#budget"), /^The budget of this request was off: \d+ prompt tokens/);
  await watched.close();
});

/** The zones of a report as they are to be drawn, by an independent count. */
function expectedZones({ zones, stages, cache }) {
  const drawn = {};
  const rest = { before: stages.received, after: stages.rendered, cached: cache.matched };
  for (const [zone, { before: received, after: rendered, cached }] of Object.entries(zones)) {
    rest.before -= received;
    rest.after -= rendered;
    rest.cached -= Math.min(cached, rendered);
    if (received + rendered === 0) continue;
    const left = Math.min(cached, rendered);
    drawn[zone] = { before: received, after: rendered, cached: left, computed: rendered - left };
  }
  // What is cached by zone is counted before the edits of the request itself, the rest with them.
  rest.cached = Math.min(Math.max(rest.cached, 0), rest.after);
  return { ...drawn, template: { ...rest, computed: rest.after - rest.cached } };
}

test("live figures agree with /metrics", async () => {
  const watched = await open();
  const { page } = watched;
  const figure = (name) => watched.text(`[data-figure="${name}"]`);
  await watched.until(() => figure("ttft"), (text) => assert.match(text, /mean/));
  const ttft = async () => ({
    sum: await server.metric("purser_time_to_first_token_seconds_sum"),
    count: await server.metric("purser_time_to_first_token_seconds_count"),
  });
  const earlier = await ttft();
  await watched.ask(QUESTION);
  const later = await ttft();
  assert.equal(later.count, earlier.count + 1);
  const last = 1e3 * (later.sum - earlier.sum);
  const words = last < 9.95 ? `${last.toFixed(1)} ms` : `${Math.round(last)} ms`;
  await watched.until(() => figure("ttft"), (text) => {
    assert.ok(text.includes(`${words}\nmedian ${words} of 1`), `${text}, not ${words}`);
  });
  const whole = (number) => number.toLocaleString("en");
  const hits = await server.metric("purser_prefix_cache_hits_total");
  const queries = await server.metric("purser_prefix_cache_queries_total");
  await watched.until(() => figure("hits"), (text) => {
    const share = `${Math.round((100 * hits) / queries)} %`;
    assert.ok(text.includes(`${share}\n${whole(hits)} of ${whole(queries)} tokens`), text);
  });
  const block = async (state) => whole(await server.metric("purser_kv_blocks", `state="${state}"`));
  const blocks = [`${await block("used")} in use`, `${await block("cached")} cached`,
    `${await block("free")} free`];
  await watched.until(() => figure("blocks"), (text) => {
    for (const words of blocks) assert.ok(text.includes(words), `${text}, not ${words}`);
  });
  await watched.until(() => figure("running"), (text) => assert.equal(text, "Running\n0\n0 waiting"));
  await watched.close();
});

test("figures are read only while somebody looks", async () => {
  const watched = await open();
  const { page } = watched;
  let scrapes = 0;
  page.on("request", (request) => { scrapes += request.url().endsWith("/metrics") ? 1 : 0; });
  const hide = (hidden) => page.evaluate((value) => {
    Object.defineProperty(document, "hidden", { configurable: true, get: () => value });
    document.dispatchEvent(new Event("visibilitychange"));
  }, hidden);
  await watched.until(() => scrapes, (number) => assert.ok(number >= 2));
  await hide(true);
  // One may be under way.
  await page.waitForTimeout(1_500);
  const hidden = scrapes;
  await page.waitForTimeout(2_500);
  assert.equal(scrapes, hidden);
  await hide(false);
  await watched.until(() => scrapes, (number) => assert.ok(number > hidden));
  await watched.close();
});

test("an answer can be stopped, and the conversation goes on", async () => {
  const watched = await open();
  const { page } = watched;
  const aborted = () => server.metric("purser_request_success_total", 'finished_reason="abort"')
    .catch(() => 0);
  await answerAtLength(page);
  for (const [number, stop] of [
    [1, () => page.locator("#stop").click()],
    [2, () => page.keyboard.press("Escape")],
  ]) {
    const earlier = await aborted();
    await page.locator("#prompt").fill(QUESTION);
    await page.locator("#prompt").press("Enter");
    const answer = page.locator(".turn.assistant").nth(number - 1);
    const text = () => answer.locator(".text").innerText();
    await watched.until(text, (said) => assert.ok(said.length > 20));
    assert.equal(await answer.getAttribute("aria-busy"), "true");
    await stop();
    await answer.and(page.locator(":not([aria-busy])")).waitFor();
    assert.equal(await answer.locator(".note").innerText(), "Stopped.");
    await watched.until(aborted, (count) => assert.equal(count, earlier + 1));
    const running = () => server.metric("purser_num_requests_running");
    await watched.until(running, (count) => assert.equal(count, 0));
    assert.ok((await text()).length > 20, "what was said stays");
  }
  await page.unroute("**/v1/chat/completions");
  const request = page.waitForRequest("**/v1/chat/completions");
  await watched.ask("Hello");
  const roles = (await request).postDataJSON().messages.map(({ role }) => role);
  assert.deepEqual(roles, ["user", "assistant", "user", "assistant", "user"]);
  await page.locator("#clear").click();
  assert.equal(await page.locator(".turn").count(), 0);
  await watched.close();
});

test("errors are told in words, and the message is not lost", async () => {
  const refused = (text, url) => url.endsWith("/v1/chat/completions") && text.includes("400");
  const watched = await open({
    expected: (text, url) => asksForRecords(text, url) || refused(text, url),
  });
  const { page } = watched;
  await page.locator("summary").click();
  await page.locator("#max-tokens").fill("900000");
  const { note } = await watched.ask("<b>Hello</b>");
  assert.match(note, /^The prompt needs 9\d+ tokens .* but the budget is \d+/);
  assert.equal(await page.locator("#prompt").inputValue(), "<b>Hello</b>");
  assert.equal(await page.locator(".turn.unsent .text").innerText(), "<b>Hello</b>");
  assert.equal(await page.locator(".turn [role=alert]").count(), 1);
  // What the browser itself finds wrong is not sent.
  await page.locator("#temperature").fill("-1");
  await page.locator("summary").click();
  await page.locator("#prompt").press("Enter");
  assert.equal(await page.locator("#settings").getAttribute("open"), "");
  assert.equal(await page.locator(".turn.assistant").count(), 1);
  await watched.close();
});

test("the table shows the request", async () => {
  const watched = await open();
  const response = watched.page.waitForResponse("**/v1/chat/completions");
  await watched.ask(QUESTION);
  const id = JSON.parse(/^data: (.*"id".*)$/m.exec(await (await response).text())[1]).id;
  if (await server.read("/v1/requests?limit=20") === null) {
    assert.equal(await watched.text("#requests"), "This server has no request records.");
  } else {
    const row = watched.page.locator(`tr[data-id="${id}"]`);
    await watched.until(() => row.innerText(), (text) => assert.match(text, /finished/));
    await row.getByRole("button").press("Enter");
    const detail = () => watched.text("#detail");
    await watched.until(detail, (text) => assert.ok(text.includes(id) && text.includes("Prefix cache")));
  }
  await watched.close();
});

test("a request's details say where its prompt and an earlier one part", async () => {
  const watched = await open({ prepare: routeRecords });
  const { page } = watched;
  const row = page.locator('tr[data-id="chatcmpl-second"]');
  const cells = (await row.innerText()).split("\t").map((cell) => cell.trim());
  assert.deepEqual(cells.slice(1), ["running", "1,263", "48 (4 %)", "3", "31 ms", "29 ms",
    "template drift from token 48"]);
  await row.getByRole("button").press("Enter");
  const detail = page.locator("#detail");
  await detail.getByText("Prefix cache").waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.innerText), "Request chatcmpl-second");
  assert.deepEqual(await detail.locator("mark").allInnerTexts(), ["␣12", "⏎\n11"]);
  const sides = await detail.locator("pre").allInnerTexts();
  assert.deepEqual(sides, ["the time is␣12:30 <img src=x>", "the time is⏎\n11:29"]);
  assert.equal(await detail.locator("img").count(), 0, "texts are no HTML");
  assert.match(await detail.innerText(), /written differently by the chat template/);
  const lefts = await detail.locator("pre").evaluateAll((all) => all.map((pre) => pre.offsetTop));
  assert.equal(lefts[0], lefts[1], "side by side");
  // The other request is one step away.
  await detail.getByRole("button", { name: "chatcmpl-first" }).press("Enter");
  await detail.getByText("Request chatcmpl-first").waitFor();
  await page.keyboard.press("Escape");
  assert.equal(await detail.isVisible(), false);
  const focused = await page.evaluate(() => document.activeElement.closest("tr").dataset.id);
  assert.equal(focused, "chatcmpl-second");
  await watched.close();
});

test("a key is asked for, kept in the tab, and sent", async () => {
  const guarded = await startServer(binary, ["--api-key", "sesame"]);
  const denied = (text) => text.includes("401") || text.includes("404");
  const watched = await WatchedPage.open(browser, guarded, { expected: denied });
  const { page } = watched;
  const form = page.locator("#key-form");
  for (const key of ["wrong", "sesame"]) {
    await form.waitFor();
    await watched.until(() => page.evaluate(() => document.activeElement.id),
      (id) => assert.equal(id, "key"));
    await page.keyboard.type(key);
    await page.keyboard.press("Enter");
  }
  await watched.until(() => page.locator("#model").inputValue(), (id) => assert.equal(id, "pebble-20m"));
  const { text } = await watched.ask(`${FACTS} ${QUESTION}`);
  assert.ok(text.length > 0);
  assert.equal(await form.isVisible(), false);
  await page.reload();
  await watched.until(() => page.locator("#model").inputValue(), (id) => assert.equal(id, "pebble-20m"));
  assert.deepEqual(await page.evaluate(() => Object.entries(localStorage)), []);
  await watched.close();
  assert.equal(await guarded.stop(), 0);
});

test("it can be read in light and dark, wide and narrow, while an answer comes", async () => {
  for (const [name, colorScheme, width, height] of [
    ["light", "light", 1400, 1000], ["dark", "dark", 1400, 1000], ["narrow", "light", 360, 740],
  ]) {
    const watched = await open({
      colorScheme, viewport: { width, height }, reducedMotion: "reduce",
    });
    const { page } = watched;
    await page.locator("summary").click();
    await page.locator("#system").fill(FACTS);
    await page.locator("#temperature").fill("0");
    await page.locator("#budget-tokens").fill("430");
    await page.locator("summary").click();
    for (const said of SAID) await watched.ask(said);
    await answerAtLength(page, 200);
    await page.locator("#prompt").fill("Summarise the conversation so far.");
    await page.locator("#prompt").press("Enter");
    await page.waitForFunction(() => {
      const answer = [...document.querySelectorAll(".turn.assistant")].at(-1);
      return answer.querySelector(".text").textContent.length > 40;
    });
    server.pause();
    await page.screenshot({ path: join(folder, `${name}.png`) });
    await page.screenshot({ path: join(folder, `${name}-whole.png`), fullPage: true });
    const answer = page.locator(".turn.assistant").last();
    assert.equal(await answer.getAttribute("aria-busy"), "true", "the answer was still coming");
    server.resume();
    await page.keyboard.press("Escape");
    const scroll = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(scroll <= width, `${name}: ${scroll} pixels wide`);
    const animated = await page.evaluate(() => document.getAnimations().length);
    assert.equal(animated, 0, "reduced motion");
    for (const { what, ratio } of await contrasts(page)) {
      assert.ok(ratio >= 4.5, `${name}: ${what} has a contrast of ${ratio.toFixed(2)}`);
    }
    const unnamed = await page.locator("input, select, textarea").evaluateAll((fields) =>
      fields.filter((field) => field.labels.length === 0).map((field) => field.id));
    assert.deepEqual(unnamed, [], "every field has a label");
    await watched.close();
  }
});
