// Tables of class "look-up" get inputs: words, and a choice for each column that offers one;
// but for those that can be read at a glance.
// Without this script the whole table is there.
"use strict";

const GLANCE = 12; // rows

function labelled(text, input) {
  const label = document.createElement("label");
  label.append(`${text} `, input);
  return label;
}

function choice(table, head) {
  const place = head.cellIndex;
  const select = document.createElement("select");
  const cells = [...table.tBodies[0].rows].map((row) => row.cells[place]);
  const values = [...new Set(cells.map(valueOf))].sort();
  select.append(new Option("all", ""), ...values.map((value) => new Option(value)));
  select.place = place;
  return labelled(head.textContent, select);
}

function valueOf(cell) {
  return cell.dataset.value || cell.textContent.trim();
}

function addInputs(table) {
  const form = document.createElement("form");
  const word = document.createElement("input");
  const count = document.createElement("output");
  word.type = "text";
  word.autocomplete = "off";
  const choices = [...table.querySelectorAll("th[data-choose]")].map((head) => choice(table, head));
  form.className = "look-up";
  form.setAttribute("aria-label", `Choose ${table.dataset.name}`);
  form.append(labelled("words", word), ...choices, count);

  function update() {
    const words = word.value.toLowerCase().split(/\s+/);
    const rows = [...table.tBodies[0].rows];
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      const chosen = [...form.querySelectorAll("select")].every(
        (select) => !select.value || valueOf(row.cells[select.place]) === select.value
      );
      row.hidden = !(chosen && words.every((each) => text.includes(each)));
    }
    const shown = rows.filter((row) => !row.hidden).length;
    count.textContent = `${shown} of ${rows.length} ${table.dataset.name}`;
  }

  form.addEventListener("input", update);
  form.addEventListener("submit", (event) => event.preventDefault());
  table.before(form);
  update();
}

document.addEventListener("DOMContentLoaded", () => {
  for (const table of document.querySelectorAll("table.look-up")) {
    if (table.tBodies[0].rows.length > GLANCE) addInputs(table);
  }
});
