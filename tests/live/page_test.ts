/** The page of a checkpoint, in a browser: what a person clicks, types and reads, and that hostile names stay text. */
import { deepEqual, equal, match, notEqual, ok } from "@std/assert";
import { openImages } from "../../mod.ts";
import { MM } from "../../images/kinds/memory.ts";
import { readMemory } from "../../plugins/memory/saved_memory.ts";
import { Browser } from "../harness/browser.ts";
import { waitUntil } from "../harness/processes.ts";
import { stasis } from "../harness/stasis_command.ts";
import { Subject } from "../harness/subject.ts";
import { ImageHome, save } from "./round_trip.ts";

/** A tree with a pipe between its processes, a name that would be an image, and a path that would be a script. */
const HOSTILE = `
  my $home = shift; mkdir "$home/<"; pipe(R, W); syswrite(W, "seventeen letters");
  open(F, ">", "$home/</script><script>window.bad=1<!--") or mkdir "$home/</script><script>window.bad=1<!--";
  if (!fork) { close W; $0 = "reader"; sleep 1000 }
  $0 = "<img src=x>"; open(READY, ">", "$home/ready"); syswrite(READY, "ready"); sleep 1000;
`;

Deno.test("the page of a checkpoint shows processes, memory and connections, and names as text", async () => {
  using images = new ImageHome();
  const home = `${images.directory}.home`;
  await Deno.mkdir(home);
  await using subject = await Subject.spawn("perl", { args: ["-e", HOSTILE, home] });
  await waitUntil(() => {
    try {
      return Deno.statSync(`${home}/ready`).size > 0;
    } catch {
      return false;
    }
  }, () => "the program to be ready");
  await save(subject, images);
  const file = `${images.directory}.html`;
  const { status, stderr } = await stasis(["inspect", images.directory, "--html", file]);
  equal(status, 0, stderr);
  equal((await Deno.stat(file)).mode! & 0o777, 0o600);

  await using browser = await Browser.start();
  await browser.open(`file://${file}`);
  const text = (selector: string) =>
    browser.evaluate<string>(`document.querySelector(${JSON.stringify(selector)}).textContent`);
  const count = (selector: string) =>
    browser.evaluate<number>(`document.querySelectorAll(${JSON.stringify(selector)}).length`);

  const { pid } = subject;
  match(await text("#chosen h2"), new RegExp(`^${pid} <img src=x>$`));
  deepEqual([await count(".tree a"), await count("img"), await count("script")], [2, 0, 2]);
  equal(await browser.evaluate("typeof window.bad"), "undefined");
  match(await text(`#process-${pid}`), /<\/script><script>window\.bad=1<!--/);
  // It has put its name in the place of its command line.
  match(await text(`#process-${pid} dl`), /Command<img src=x>/);
  match(await text("#connections"), /pipe \d+ +17 B waits/);

  match(await text("#phases"), /survey\d+(\.\d)? ms.*freeze.*dump.*pages\d/);

  // Another process by a click.
  await browser.evaluate(`document.querySelectorAll(".tree a")[1].click()`);
  await browser.evaluate(`new Promise((resolve) => setTimeout(resolve))`);
  match(await text("#chosen h2"), / reader$/);
  equal(await count(".tree a[aria-current]"), 1);

  // A page of the heap by the keyboard: what is in the images is what is seen.
  const heap = openImages(images.directory).read(MM, pid).mmStartBrk;
  await browser.press("/");
  for (const key of `0x${heap.toString(16)}`) await browser.press(key);
  match(await text("#results p"), /^\d+ match/);
  await browser.evaluate(
    `[...document.querySelectorAll("#results a")].find((one) => one.hash.startsWith("#process-${pid}-")).focus()`,
  );
  await browser.press("Enter");
  await browser.evaluate(`(async () => {
    while (!document.querySelector("#chosen details[open] pre")?.textContent) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  })()`);
  const lines = (await text("#chosen details[open] pre")).split("\n");
  const address = BigInt(`0x${lines[0]?.slice(0, 12)}`);
  const bytes = lines.flatMap((line) => line.slice(14, 62).trim().split(/ +/));
  const expected = readMemory(openImages(images.directory), pid, address, 4096);
  equal(bytes.join(""), expected.toHex());
  ok(expected.some((byte) => byte !== 0));

  // The other colours by a click; and on paper all processes, one behind the other.
  const back = "getComputedStyle(document.body).backgroundColor";
  const before = await browser.evaluate<string>(back);
  await browser.evaluate(
    `[...document.querySelectorAll("header button")].find((one) => /dark/.test(one.textContent)).click()`,
  );
  notEqual(await browser.evaluate<string>(back), before);
  await browser.evaluate(`dispatchEvent(new Event("beforeprint"))`);
  equal(await count("#chosen > section"), 2);
  await browser.evaluate(`dispatchEvent(new Event("afterprint"))`);
  equal(await count("#chosen > section"), 1);

  await browser.resize(320, 600);
  equal(await browser.evaluate("document.documentElement.scrollWidth"), 320);
  deepEqual(browser.complaints, []);
});
