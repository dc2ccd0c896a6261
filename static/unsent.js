// What somebody typed before they were signed out stands in its form again; nothing is sent.
(() => {
  const notice = document.querySelector("[data-unsent]");
  if (!notice) return;
  const path = notice.dataset.path;
  const form = [...document.forms].find((candidate) => new URL(candidate.action).pathname === path
    && candidate.method === "post");
  if (!form) return;
  const left = JSON.parse(notice.dataset.unsent);
  for (const input of form.querySelectorAll("input:not([type=hidden]):not([type=password]), select, textarea")) {
    const isChoice = input.type === "checkbox" || input.type === "radio";
    const place = left.findIndex(([name, value]) => name === input.name && (!isChoice || value === input.value));
    if (isChoice) input.checked = place >= 0;
    else if (place >= 0) input.value = left[place][1];
    if (place >= 0 && input.type !== "radio") left.splice(place, 1);
    input.dispatchEvent(new Event("change", { bubbles: true }));
  }
  // rows that the form does not show are read in the notice
  if (left.some(([name, value]) => value && /\.\d+\./.test(name) && !form.elements[name])) {
    notice.querySelector("details")?.setAttribute("open", "");
  }
  for (let part = form.closest("details"); part; part = part.parentElement.closest("details")) part.open = true;
  form.prepend(notice);
  notice.tabIndex = -1;
  notice.focus({ preventScroll: true });
  notice.scrollIntoView({ block: "center" });
})();
