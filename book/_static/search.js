// Search results lead to the section that holds most of the words, not to the top of its page.
// Without this script they lead to the page.
"use strict";

const pages = new Map();

function pageOf(address) {
  if (!pages.has(address)) {
    const page = fetch(address)
      .then((answer) => answer.text())
      .then((text) => new DOMParser().parseFromString(text, "text/html"));
    pages.set(address, page);
  }
  return pages.get(address);
}

function headingOf(section) {
  const heading = section.querySelector("h1, h2, h3").cloneNode(true);
  heading.querySelectorAll(".headerlink").forEach((link) => link.remove());
  return heading.textContent.trim();
}

// How many of the words a section holds outside the sections within it; in its heading they count more.
function worth(section, words) {
  const own = section.cloneNode(true);
  own.querySelectorAll("section").forEach((inner) => inner.remove());
  const text = own.textContent.toLowerCase();
  const heading = headingOf(section).toLowerCase();
  return words.reduce((sum, word) => sum + text.includes(word) + 2 * heading.includes(word), 0);
}

async function leadToSection(link, words) {
  const url = new URL(link.href);
  if (url.hash) return;
  const page = await pageOf(url.pathname);
  const sections = [...page.querySelectorAll("article section[id]:not(#what-to-do-next)")];
  const worths = sections.map((section) => worth(section, words));
  const place = worths.indexOf(Math.max(...worths));
  if (place < 1) return; // the page's own beginning
  url.hash = sections[place].id;
  link.href = url.href;
  link.append(` > ${headingOf(sections[place])}`);
}

document.addEventListener("DOMContentLoaded", () => {
  const results = document.querySelector("#search-results");
  const query = new URLSearchParams(location.search).get("q");
  if (!results || !query) return;
  const stemmer = new Stemmer();
  const words = query.toLowerCase().match(/[\p{L}\p{N}_]+/gu).map((word) => stemmer.stemWord(word));
  new MutationObserver((changes) => {
    for (const change of changes) {
      for (const added of change.addedNodes) {
        const link = added.nodeName === "LI" && added.querySelector("a");
        if (link) leadToSection(link, words);
      }
    }
  }).observe(results, { childList: true, subtree: true });
});
