// Opens report.html in headless Chromium as a desktop and as a phone, light and dark, and fails if the finding is not on the first
// screen, on any error on the console, any request to a network, any figure that is not drawn, any number that is not that of
// report.json, any claim without a section, any link that leads nowhere, and anything wider than the page.
//
//   npm ci && npm run check -- PATH/TO/report [FOLDER-FOR-SCREENSHOTS]
//
// CHROMIUM names the browser; without it the usual places are tried.

import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const [folder, shots] = process.argv.slice(2);
if (!folder) {
  console.error("usage: npm run check -- PATH/TO/report [FOLDER-FOR-SCREENSHOTS]");
  process.exit(2);
}
const page_url = pathToFileURL(resolve(folder, "report.html")).href;
const report = JSON.parse(readFileSync(join(folder, "report.json"), "utf8"));

const usual = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const executablePath = process.env.CHROMIUM ?? usual.find(existsSync);
assert(executablePath, `no browser: set CHROMIUM, or install one of ${usual.join(", ")}`);

const sizes = {
  desktop: { viewport: { width: 1280, height: 800 } },
  phone: { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true },
};

const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
let checks = 0;
const check = (condition, message) => {
  checks += 1;
  assert(condition, message);
};

for (const [size, settings] of Object.entries(sizes)) {
  for (const colorScheme of ["light", "dark"]) {
    const where = `${size}, ${colorScheme}`;
    const context = await browser.newContext({ ...settings, colorScheme });
    const page = await context.newPage();
    const problems = [];
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) problems.push(`console: ${message.text()}`);
    });
    page.on("pageerror", (error) => problems.push(`script: ${error}`));
    page.on("request", (request) => {
      if (!/^(file|data):/.test(request.url())) problems.push(`request: ${request.url()}`);
    });
    await page.goto(page_url, { waitUntil: "load" });
    check(problems.length === 0, `${where}: ${problems.join("\n")}`);

    await first(page, where);
    await claims(page, where);
    await figures(page, where);
    await tables(page, where);
    await links(page, where);
    await fits(page, where);
    await colours(page, where, colorScheme);
    if (size === "desktop") await keyboard(page, where);
    await sorted(page, where);
    await values(page, where);
    if (shots) await pictures(page, `${size}-${colorScheme}`);
    check(problems.length === 0, `${where}: ${problems.join("\n")}`);
    console.log(`ok ${where}`);
    await context.close();
  }
}

// The page is complete without scripts.
const bare = await browser.newContext({ javaScriptEnabled: false });
const still = await bare.newPage();
await still.goto(page_url);
check((await still.locator('figure[id^="drawing-"] .panel svg').count()) === panels(report), "without scripts figures are missing");
await browser.close();
console.log(`${checks} checks passed, 0 failed`);

function panels(report) {
  return report.items.flatMap((item) => item.figures).reduce((sum, figure) => sum + figure.panels.length, 0);
}

/** The sentence, the strip of counts and the whole forest plot are seen without scrolling, in text that can be read. */
async function first(page, where) {
  await page.evaluate(() => scrollTo(0, 0));
  const { width, height } = page.viewportSize();
  const seen = async (selector) => {
    const box = await page.locator(selector).first().boundingBox();
    return box && box.y >= 0 && box.y + box.height <= height && box.x >= 0 && box.x + box.width <= width;
  };
  check(await seen("#finding h2"), `${where}: the finding is not on the first screen`);
  if (report.claims.length) check(await seen(".counts"), `${where}: the counts are not on the first screen`);
  if (!report.forest.length) return;
  const drawing = page.locator("#forest .panel svg:visible");
  check((await drawing.count()) === 1, `${where}: ${await drawing.count()} forest plots are seen`);
  check(await seen("#forest .panel svg:visible"), `${where}: the forest plot is not on the first screen`);
  check((await drawing.locator(".hits title").count()) === report.forest.length, `${where}: rows of the forest plot`);
  const small = await drawing.evaluate((svg) => {
    const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
    return Math.min(...[...svg.querySelectorAll("text")].map((text) => scale * Number(text.getAttribute("font-size"))));
  });
  check(small >= 9.5, `${where}: text of ${small.toFixed(1)} pixels in the forest plot`);
}

/** Every claim has a section; what was measured of it is drawn. */
async function claims(page, where) {
  for (const claim of report.claims) {
    const section = page.locator(`[id="claim-${claim.id}"]`);
    check((await section.count()) === 1, `${where}: no section of ${claim.id}`);
    const drawn = (claim.comparisons ?? []).some((one) => Number.isFinite(one.estimate?.low ?? NaN));
    check((await section.locator(".panel svg").count()) === (drawn ? 1 : 0), `${where}: the figure of ${claim.id}`);
  }
}

/** Every panel is there, has a size, and has a mark for each of its values. */
async function figures(page, where) {
  for (const figure of report.items.flatMap((item) => item.figures)) {
    const drawings = page.locator(`figure[id="drawing-${figure.id}"] .panel svg`);
    check((await drawings.count()) === figure.panels.length, `${where}: panels of ${figure.id}`);
    for (const [at, panel] of figure.panels.entries()) {
      const drawing = drawings.nth(at);
      const box = await drawing.boundingBox();
      check(box && box.width > 200 && box.height > 150, `${where}: ${figure.id} panel ${at + 1} has no size`);
      const marks = await drawing.locator(".hits title").count();
      const lines = panel.shape.lines;
      const expected = lines ? lines.reduce((sum, line) => sum + line.points.length, 0) : null;
      check(expected === null ? marks > 0 : marks === expected, `${where}: ${figure.id} has ${marks} values`);
      check((await drawing.locator("polyline, polygon, rect").count()) > 1, `${where}: ${figure.id} is empty`);
    }
  }
  for (const image of await page.locator("img").all()) {
    check(await image.evaluate((image) => image.complete && image.naturalWidth > 0), `${where}: an image is broken`);
  }
}

/** Every number of every table is that of report.json, in the layout and in the list of all numbers. */
async function tables(page, where) {
  for (const { name, table } of report.items) {
    if (!table) continue;
    const shown = await page.$$eval(`[id="${name}-sheet"] td.number`, (cells) =>
      cells.map((cell) => ({ ...cell.dataset, text: cell.querySelector(".value").textContent })));
    const seen = new Set();
    for (const { cell, strategy, value, text } of shown) {
      const record = table.cells[cell];
      const expected = strategy ? record.strategies[strategy] : record.accuracy;
      check(Number(value) === expected, `${where}: ${name} shows ${value}, the record has ${expected}`);
      check(Math.abs(Number(text) - expected) <= 0.0005 + 1e-9, `${where}: ${name} shows ${text} for ${expected}`);
      seen.add(cell);
    }
    check(seen.size === table.cells.length, `${where}: ${name} shows ${seen.size} of ${table.cells.length} numbers`);
    const rows = await page.$$eval(`[id="${name}-numbers"] tbody tr`, (rows) =>
      rows.map((row) => Object.fromEntries(
        [...row.querySelectorAll("[data-field]")].map((cell) => [cell.dataset.field, cell.textContent]))));
    check(rows.length === table.cells.length, `${where}: ${name} lists ${rows.length} numbers`);
    rows.forEach((row, at) => {
      const record = table.cells[at];
      const near = (text, number) => Math.abs(Number(text) - number) <= 0.0005 + 1e-9;
      const [low, high] = row.interval.split("–");
      check(near(row.accuracy, record.accuracy) && near(row.union, record.union), `${where}: ${name} line ${at}`);
      check(near(low, record.low) && near(high, record.high), `${where}: interval of ${name} line ${at}`);
      check(Number(row.n) === record.n, `${where}: n of ${name} line ${at}`);
      const none = record.beyond ? "beyond" : "–";
      // Without any printed number there is no such column.
      const published =
        record.published === null ? [none, undefined].includes(row.published) : near(row.published, record.published);
      check(published, `${where}: published number of ${name} line ${at}`);
    });
    const marks = await page.locator(`[id="${name}-sheet"] .mark`).count();
    const printed = table.cells.some((cell) => cell.published !== null);
    check(table.run.comparable || !printed || marks > 0, `${where}: printed numbers of ${name} have no mark`);
  }
}

/** Every link within the page leads somewhere, and no name is there twice. */
async function links(page, where) {
  const wrong = await page.evaluate(() => {
    const names = [...document.querySelectorAll("[id]")].map((element) => element.id);
    const twice = names.filter((name, at) => names.indexOf(name) !== at);
    const targets = [...document.querySelectorAll('a[href^="#"]')].map((link) => link.getAttribute("href").slice(1));
    const known = new Set(names);
    return [...twice.map((name) => `${name} twice`), ...targets.filter((target) => !known.has(target))];
  });
  check(wrong.length === 0, `${where}: ${wrong.slice(0, 5)}`);
}

/** Nothing makes the page itself scroll sideways. */
async function fits(page, where) {
  const [content, view] = await page.evaluate(() =>
    [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
  check(content <= view, `${where}: the page is ${content} wide, the screen ${view}`);
}

/** The page follows the setting, and text has the contrast of WCAG AA. */
async function colours(page, where, scheme) {
  const low = await page.evaluate(() => {
    const parse = (text) => text.match(/[\d.]+/g).map(Number);
    const light = ([r, g, b]) => {
      const linear = [r, g, b].map((value) => {
        const share = value / 255;
        return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
      });
      return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
    };
    const behind = (element) => {
      for (let at = element; at; at = at.parentElement) {
        const colour = parse(getComputedStyle(at).backgroundColor);
        if (colour.length < 4 || colour[3] > 0) return colour;
      }
      return [255, 255, 255];
    };
    const found = [];
    for (const element of document.querySelectorAll("p, td, th, li, a, summary, dd, dt, caption, figcaption, h1, h2, h3, span")) {
      if (!element.textContent.trim()) continue;
      const [a, b] = [light(parse(getComputedStyle(element).color)), light(behind(element))];
      const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
      if (ratio < 4.5) found.push(`${element.tagName} ${element.className} ${ratio.toFixed(2)}`);
    }
    return { found, background: light(behind(document.body)) };
  });
  check(low.found.length === 0, `${where}: too little contrast: ${[...new Set(low.found)].slice(0, 5).join("; ")}`);
  check(scheme === "dark" ? low.background < 0.1 : low.background > 0.9, `${where}: the page is not ${scheme}`);
}

/** The first stop of the keyboard skips to the content, and a number opens and closes what it was computed from, in place. */
async function keyboard(page, where) {
  await page.keyboard.press("Tab");
  check(await page.evaluate(() => document.activeElement.classList.contains("skip")), `${where}: no link to skip`);
  const number = page.locator("td.number a.value").first();
  if (!(await number.count())) return;
  await number.focus();
  await page.keyboard.press("Enter");
  const opened = page.locator("tr.opened");
  await opened.waitFor({ state: "visible" });
  check((await opened.locator("details.record").count()) > 0, `${where}: a number opens no record`);
  check((await opened.locator("dt").count()) > 5, `${where}: a number opens nothing about itself`);
  await page.keyboard.press("Enter");
  check((await opened.count()) === 0, `${where}: a number does not close again`);
}

/** A heading sorts its table, and sorts it the other way round. */
async function sorted(page, where) {
  const table = page.locator("table.sheet").first();
  if (!(await table.count())) return;
  const heading = table.locator("thead tr:last-child th button").last();
  const values = () => table.evaluate((table) =>
    [...table.tBodies[0].rows].map((row) => parseFloat(row.cells[row.cells.length - 1].dataset.value)));
  for (const sign of [1, -1]) {
    await heading.click();
    const found = (await values()).filter((value) => !Number.isNaN(value));
    const inOrder = found.every((value, at) => at === 0 || sign * (value - found[at - 1]) >= 0);
    check(inOrder, `${where}: a table is not sorted: ${found}`);
  }
  await page.reload({ waitUntil: "load" });
}

/** Pointing at a value shows it. */
async function values(page, where) {
  const mark = page.locator(".panel:visible .hits circle, .panel:visible .hits rect").first();
  if (!(await mark.count())) return;
  await mark.scrollIntoViewIfNeeded();
  await mark.dispatchEvent("pointermove", { clientX: 100, clientY: 100 });
  check((await page.locator("#tip").textContent()) === (await mark.locator("title").textContent()), `${where}: no value`);
  await page.mouse.move(0, 0);
}

/** Screenshots: the first screen, and the start of each section and figure. A whole page is too long for one. */
async function pictures(page, name) {
  mkdirSync(shots, { recursive: true });
  const close = () => { document.querySelectorAll("details").forEach((part) => { part.open = false; }); scrollTo(0, 0); };
  await page.evaluate(close);
  const parts = await page.evaluate(() => [...document.querySelectorAll("main > section, figure")].map((part) => part.id));
  for (const [at, part] of ["", ...parts].entries()) {
    await page.evaluate((id) => (id ? document.getElementById(id) : document.body).scrollIntoView(), part);
    const number = String(at).padStart(2, "0");
    await page.screenshot({ path: join(shots, `${name}-${number}-${part || "top"}.png`) });
  }
}
