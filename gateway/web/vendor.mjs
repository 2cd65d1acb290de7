// Copies what the page loads out of node_modules into static/vendor, which git ignores. The page fetches nothing from
// other hosts, so everything it needs stands here. Run after `npm install`, in this folder.
import { cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const target = join(here, "static", "vendor");

// GOV.UK Frontend's version is the one that the macros of govuk-frontend-jinja (constraints.txt) are written for:
// 4.1.0 goes with 6.3.0. Markup and styles of different versions do not fit each other.
const govuk = "govuk-frontend/dist/govuk";
const copies = [
  [`${govuk}/govuk-frontend.min.js`, "govuk-frontend.min.js"],
  ["htmx.org/dist/htmx.min.js", "htmx.min.js"],
];

const wanted = JSON.parse(await readFile(join(here, "package.json"), "utf8")).dependencies;
for (const [name, version] of Object.entries(wanted)) {
  const manifest = join(here, "node_modules", name, "package.json");
  const found = JSON.parse(await readFile(manifest, "utf8")).version;
  if (found !== version) {
    throw new Error(`${name} is ${found} in node_modules, package.json wants ${version}: run npm install again`);
  }
}

await rm(target, { recursive: true, force: true });
for (const [from, to] of copies) {
  const destination = join(target, to);
  await mkdir(dirname(destination), { recursive: true });
  await cp(join(here, "node_modules", from), destination, { recursive: true });
}

// The GDS Transport typeface and the royal arms are licensed for services on GOV.UK only; this is not one. The design
// system names Arial for that case.
const styles = await readFile(join(here, "node_modules", govuk, "govuk-frontend.min.css"), "utf8");
const free = styles.replace(/@font-face\{[^}]*\}/g, "").replaceAll("GDS Transport,", "");
if (free.includes("GDS Transport") || free.includes("@font-face")) {
  throw new Error("the styles name GDS Transport in a way that this script does not know: look at them, and mend it");
}
await writeFile(join(target, "govuk-frontend.min.css"), free);
