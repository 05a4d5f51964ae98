// Choosing a region loads what it begins with into the form; nothing is in force before it is put in force.

const form = document.querySelector("[data-change]");
const profiles = JSON.parse(document.getElementById("profiles").textContent);
const said = form.querySelector("[data-loaded]");

function load(region, name) {
  for (const [field, value] of Object.entries(profiles[region])) {
    for (const input of form.querySelectorAll(`[name="${field}"]`)) {
      if (input.type === "radio") input.checked = input.value === value;
      else if (input.type === "checkbox") input.checked = value;
      else input.value = value;
    }
  }
  said.textContent = interpolate(
    gettext("Loaded for %s. Nothing is in force before you say why and put it in force."),
    [name],
  );
}

form.querySelector("[data-load]").remove(); // a button before the other would be what Enter presses
for (const input of form.querySelectorAll('[name="region"]')) {
  input.addEventListener("change", () => load(input.value, form.querySelector(`label[for="${input.id}"]`).textContent));
}
