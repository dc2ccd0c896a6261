// What pages do beyond links and forms, which all work without this file: keyboard, confirmations, charts, live parts.
(() => {
  "use strict";
  const root = document.documentElement;
  const $ = (selector, from = document) => from.querySelector(selector);
  const $$ = (selector, from = document) => [...from.querySelectorAll(selector)];
  const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const THIN = "\u202f";

  const announce = (text) => { $("#announce").textContent = text; };

  // --- Times: the reader's zone, kept current ------------------------------------------------------------------------
  const zone = root.dataset.zone || undefined;
  const pad = new Intl.DateTimeFormat("sv-SE", { dateStyle: "short", timeStyle: "medium", timeZone: zone });
  const relative = (seconds) => {
    const span = Math.abs(seconds);
    if (span < 5) return "just now";
    const [length, unit] = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]].find(([size]) => span >= size);
    const text = `${Math.floor(span / length)}${THIN}${unit}`;
    return seconds > 0 ? `${text} ago` : `in ${text}`;
  };
  const showTimes = (from = document) => {
    for (const time of $$("time[data-moment]", from)) time.textContent = pad.format(new Date(time.dateTime));
    for (const time of $$("time[data-ago]", from)) time.textContent = relative((Date.now() - new Date(time.dateTime)) / 1000);
  };
  setInterval(() => { if (!document.hidden) showTimes(); }, 10000);

  // --- Theme ---------------------------------------------------------------------------------------------------------
  document.addEventListener("submit", (event) => {
    const form = event.target.closest("[data-theme-form]");
    if (!form || !event.submitter) return;
    event.preventDefault();
    const choice = event.submitter.value;
    const body = new FormData(form, event.submitter);
    root.dataset.themeChoice = choice;
    root.dataset.bsTheme = choice || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
    for (const button of $$("button", form)) button.setAttribute("aria-pressed", String(button === event.submitter));
    fetch(form.action, { method: "POST", body, redirect: "manual" });
    mountCharts(true);
  });

  // --- Menus, toasts, copying ------------------------------------------------------------------------------------------
  document.addEventListener("click", (event) => {
    for (const menu of $$("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
    const close = event.target.closest("[data-close]");
    if (close) close.closest("[data-toast]").remove();
    const toggle = event.target.closest("[data-filters]");
    if (toggle) toggle.setAttribute("aria-expanded", String(toggle.form.classList.toggle("is-open")));
    const copy = event.target.closest("[data-copy]");
    if (copy) navigator.clipboard.writeText(copy.dataset.copy).then(() => announce("Copied"));
  });
  const readyToasts = (from = document) => { for (const button of $$("[data-close]", from)) button.hidden = false; };

  // --- Confirmation: names the object, and asks for its name where money moves -------------------------------------------
  document.addEventListener("submit", (event) => {
    const form = event.target;
    const source = event.submitter?.dataset.confirm ? event.submitter : form;
    if (!source.dataset?.confirm || form.dataset.confirmed) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    const dialog = $("#confirm"), typed = $("[data-typed]", dialog), yes = $("[data-yes]", dialog), input = $("input", typed);
    $("h2", dialog).textContent = source.dataset.confirm;
    $("[data-text]", dialog).textContent = source.dataset.confirmText || "";
    yes.textContent = source.dataset.confirmYes || "Continue";
    typed.hidden = !source.dataset.confirmName;
    $("span", typed).textContent = `Type “${source.dataset.confirmName}” to go on`;
    input.value = "";
    yes.disabled = !typed.hidden;
    input.oninput = () => { yes.disabled = input.value.trim() !== source.dataset.confirmName; };
    dialog.onclose = () => {
      if (dialog.returnValue !== "yes") return;
      form.dataset.confirmed = "1";
      form.requestSubmit(event.submitter || undefined);
      delete form.dataset.confirmed;
    };
    dialog.returnValue = "no";
    dialog.showModal();
  }, true);

  // --- Leaving with changes asks -------------------------------------------------------------------------------------------
  const isChanged = (form) => $$("input, select, textarea", form).some((field) =>
    field.type === "checkbox" || field.type === "radio" ? field.checked !== field.defaultChecked
      : field.tagName === "SELECT" ? [...field.options].some((option) => option.selected !== option.defaultSelected && field.value !== "")
        : field.type !== "hidden" && field.value !== field.defaultValue);
  let isSubmitting = false;
  document.addEventListener("submit", (event) => {
    if (event.defaultPrevented) return;
    isSubmitting = true;
    event.submitter?.setAttribute("aria-busy", "true");
  });
  addEventListener("pageshow", () => { isSubmitting = false; for (const b of $$("[aria-busy]")) b.removeAttribute("aria-busy"); });
  addEventListener("beforeunload", (event) => {
    if (!isSubmitting && $$("form[data-guard]").some(isChanged)) event.preventDefault();
  });

  // --- Keyboard --------------------------------------------------------------------------------------------------------------
  let waitsForGo = 0;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") for (const menu of $$("details.menu[open]")) { menu.open = false; $("summary", menu).focus(); }
    if (event.target.closest("input:not([type=checkbox]), select, textarea, dialog[open]")) return;
    if (event.key === "/") {
      const box = $("[data-search]");
      if (box) { event.preventDefault(); box.focus(); box.select(); }
    } else if (waitsForGo && Date.now() - waitsForGo < 1200) {
      waitsForGo = 0;
      $(`[data-go="${CSS.escape(event.key)}"]`)?.click();
    } else if (event.key === "g") {
      waitsForGo = Date.now();
    } else if (event.key === "x") {
      $('tr.is-picked input[name="ids"]')?.click();
    } else if (event.key === "j" || event.key === "k") {
      const rows = $$("table.list tbody tr");
      if (!rows.length) return;
      const now = rows.findIndex((row) => row.classList.contains("is-picked"));
      const next = Math.max(0, Math.min(rows.length - 1, now + (event.key === "j" ? 1 : -1)));
      rows[now]?.classList.remove("is-picked");
      rows[next].classList.add("is-picked");
      rows[next].scrollIntoView({ block: "nearest" });
      $("a", rows[next])?.focus({ preventScroll: true });
    }
  });

  // --- Choosing rows of a list: how many, and what they are worth --------------------------------------------------------------
  const spaced = (value) => Math.round(value).toString().replace(/\B(?=(\d{3})+$)/g, THIN);
  const showChosen = () => {
    const form = $("[data-choose]");
    if (!form) return;
    const boxes = $$('input[name="ids"]'), chosen = boxes.filter((box) => box.checked), sums = new Map();
    for (const { dataset: { currency, equity } } of chosen) if (equity) sums.set(currency, (sums.get(currency) || 0) + Number(equity));
    const worth = [...sums].map(([currency, sum]) => `${spaced(sum)} ${currency}`).join(" + ");
    $("[data-chosen]", form).textContent = chosen.length
      ? `${chosen.length} selected${worth && `, ${worth}`}` : "Tick accounts to change several at once.";
    $('[value="ticked"]', form).disabled = !chosen.length;
    form.classList.toggle("is-chosen", Boolean(chosen.length));
    const all = $("[data-choose-page]", form);
    all.parentElement.hidden = false;
    all.checked = chosen.length > 0 && chosen.length === boxes.length;
    all.indeterminate = chosen.length > 0 && chosen.length < boxes.length;
    for (const box of boxes) box.closest("tr").classList.toggle("is-chosen", box.checked);
  };
  let lastChosen = null;
  document.addEventListener("click", (event) => {
    if (!event.target.matches('input[name="ids"]')) return;
    const boxes = $$('input[name="ids"]'), ends = [boxes.indexOf(lastChosen), boxes.indexOf(event.target)].sort((a, b) => a - b);
    if (event.shiftKey && ends[0] >= 0) for (const box of boxes.slice(ends[0], ends[1])) box.checked = event.target.checked;
    lastChosen = event.target;
  });
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-choose-page]")) for (const box of $$('input[name="ids"]')) box.checked = event.target.checked;
    if (event.target.matches('[data-choose-page], input[name="ids"]')) showChosen();
  });
  for (const name of ["htmx:afterSettle", "pageshow"]) addEventListener(name, showChosen);
  showChosen();

  // --- Live parts ----------------------------------------------------------------------------------------------------------------
  const live = $("[data-live]"), offline = $("[data-offline]");
  const setLive = (isUp) => {
    if (live && $$("[hx-trigger*='every']").length) {
      // the page hears from the portal; live it is only while the portal hears from the backend
      const mirror = $("#freshness")?.classList, isFresh = mirror ? mirror.contains("is-fresh") : live.dataset.mirror === "fresh";
      live.hidden = false;
      live.classList.toggle("is-live", isUp && isFresh);
      live.classList.toggle("is-behind", isUp && !isFresh);
      live.classList.toggle("is-broken", !isUp);
      $("[data-live-text]", live).textContent = !isUp ? "Connection lost" : isFresh ? "Live" : "Not live";
    }
    if (offline) offline.hidden = isUp;
  };
  setLive(navigator.onLine !== false);
  addEventListener("offline", () => setLive(false));
  addEventListener("online", () => setLive(true));
  const pending = new Set();
  const showWork = () => $("#progress").classList.toggle("is-on", pending.size > 0);
  const texts = new Map();
  // a form of filters asks only for what is filled in, and once: Enter in a field is a change and a submit
  const isFilters = (event) => event.detail.elt.matches?.("form.filters");
  document.addEventListener("htmx:configRequest", (event) => {
    if (!isFilters(event)) return;
    for (const [name, value] of [...event.detail.formData]) if (value === "") event.detail.formData.delete(name);
  });
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (isFilters(event) && event.detail.pathInfo.finalRequestPath === location.pathname + location.search) return event.preventDefault();
    if ((document.hidden || $("dialog[open]")) && event.detail.elt.getAttribute("hx-trigger")?.includes("every")) return event.preventDefault();
    if (!event.detail.elt.getAttribute("hx-trigger")?.includes("every")) { pending.add(event.detail.xhr); showWork(); }
  });
  document.addEventListener("htmx:afterRequest", (event) => {
    pending.delete(event.detail.xhr);
    showWork();
    const status = event.detail.xhr.status;
    if (status === 502 || status === 503 || status === 504) setLive(false);
    else if (status) setLive(true);
  });
  document.addEventListener("htmx:sendError", () => setLive(false));
  document.addEventListener("htmx:timeout", () => setLive(false));
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.xhr.status === 422 || event.detail.xhr.status === 400) { event.detail.shouldSwap = true; event.detail.isError = false; }
    texts.clear();
    for (const cell of $$("[data-flash]")) texts.set(cell.dataset.flash, cell.textContent);
  });
  document.addEventListener("htmx:afterSettle", (event) => {
    showTimes();
    readyToasts();
    mountCharts();
    const count = $(".list-part [role=status].list-count", event.detail.target.parentElement || document);
    if (count && !event.detail.elt?.matches?.(".newer")) announce(count.textContent.trim());
    for (const cell of $$("[data-flash]")) {
      const before = texts.get(cell.dataset.flash);
      if (before !== undefined && before !== cell.textContent && !isCalm) {
        cell.classList.remove("is-flashed");
        void cell.offsetWidth;
        cell.classList.add("is-flashed");
      }
    }
  });

  // --- Charts: equity above, drawdown below on the same axis ---------------------------------------------------------------------------
  const css = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  const number = (value, digits = 2) => value == null ? "–"
    : value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits }).replaceAll(",", THIN).replace("-", "−");
  const mounted = new Map();
  const fill = (figure, columns) => {
    const area = $("[data-area]", figure), legend = $("[data-legend]", figure), unit = figure.dataset.unit || "";
    area.replaceChildren();
    if (!columns[0] || columns[0].length < 2) {
      const note = document.createElement("div");
      note.className = "chart-message";
      note.textContent = "Not enough measurements in this period yet.";
      area.append(note);
      return;
    }
    const hasDrawdown = Boolean(columns[2]), flows = columns[3] || [];
    const key = $("[data-key]", figure);
    if (key) key.hidden = !flows.some(Boolean);
    const height = area.clientHeight, upper = hasDrawdown ? Math.round(height * .7) : height;
    const sync = uPlot.sync(figure.dataset.chart);
    // whole pixels: uPlot scales a font with /(\d+)px/, so that 11.5px became 11.10px on a screen of twice the density
    const axis = (more) => ({ stroke: css("--ink-faint"), font: "12px " + css("--tblr-font-sans-serif"), grid: { stroke: css("--line"), width: 1 }, ticks: { show: false }, ...more });
    const two = (value) => String(value).padStart(2, "0");
    const months = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");
    const dates = (plot, ticks, _axis, _space, step) => ticks.map((tick) => {
      const at = zone ? uPlot.tzDate(new Date(tick * 1000), zone) : new Date(tick * 1000);
      if (step < 86400) return at.getHours() || at.getMinutes() ? `${two(at.getHours())}:${two(at.getMinutes())}` : `${at.getDate()} ${months[at.getMonth()]}`;
      return step < 28 * 86400 ? `${at.getDate()} ${months[at.getMonth()]}` : `${months[at.getMonth()]} ${at.getFullYear()}`;
    });
    const short = (value) => Math.abs(value) >= 1e6 ? `${+(value / 1e6).toFixed(2)}M` : Math.abs(value) >= 1e4 ? `${+(value / 1e3).toFixed(1)}k` : number(value, 0);
    const write = (plot) => {
      const index = plot.cursor.idx ?? columns[0].length - 1;
      const when = new Date(columns[0][index] * 1000);
      legend.replaceChildren();
      const put = (label, value) => {
        const span = document.createElement("span"), bold = document.createElement("b");
        bold.textContent = value;
        span.append(label ? label + " " : "", bold);
        legend.append(span);
      };
      put("", pad.format(when).slice(0, 16));
      put("Equity", `${number(columns[1][index])}${unit ? THIN + unit : ""}`);
      if (hasDrawdown) put("Drawdown", `${number(columns[2][index] * 100)}${THIN}%`);
      if (flows[index]) put(flows[index] > 0 ? "Paid in" : "Paid out", `${number(Math.abs(flows[index]))}${unit ? THIN + unit : ""}`);
    };
    // a tick at the foot of the curve for money that came in (up) or went out (down); those that would overlap are one
    const markFlows = (plot) => {
      const { ctx, bbox } = plot, size = 5 * devicePixelRatio, ground = bbox.top + bbox.height;
      let last = -Infinity;
      ctx.save();
      flows.forEach((amount, index) => {
        const x = plot.valToPos(columns[0][index], "x", true);
        if (!amount || x < bbox.left || x > bbox.left + bbox.width || x - last < size) return;
        last = x;
        const [base, tip] = amount > 0 ? [ground, ground - 1.7 * size] : [ground - 1.7 * size, ground];
        ctx.fillStyle = ctx.strokeStyle = css(amount > 0 ? "--info" : "--warn");
        ctx.globalAlpha = .35;
        ctx.lineWidth = devicePixelRatio;
        ctx.setLineDash([2 * devicePixelRatio, 3 * devicePixelRatio]);
        ctx.beginPath(); ctx.moveTo(x, ground - 2 * size); ctx.lineTo(x, plot.valToPos(columns[1][index], "y", true)); ctx.stroke();
        ctx.globalAlpha = 1;
        ctx.beginPath(); ctx.moveTo(x - size, base); ctx.lineTo(x + size, base); ctx.lineTo(x, tip); ctx.fill();
      });
      ctx.restore();
    };
    const make = (size, series, axes, data, draw = [], y = {}) => new uPlot({
      width: area.clientWidth, height: size, series: [{}, series], axes,
      padding: [8, 24, 0, 0],
      legend: { show: false },
      cursor: { sync: { key: sync.key, setSeries: false }, drag: { x: true, y: false }, points: { size: 7 } },
      scales: { x: { time: true }, y },
      tzDate: zone ? (seconds) => uPlot.tzDate(new Date(seconds * 1000), zone) : undefined,
      hooks: { draw, setCursor: [write], setScale: [(plot, key) => {
        if (key !== "x") return;
        for (const other of plots) if (other !== plot && (other.scales.x.min !== plot.scales.x.min || other.scales.x.max !== plot.scales.x.max))
          other.setScale("x", { min: plot.scales.x.min, max: plot.scales.x.max });
      }] },
    }, data, area);
    const plots = [];
    const accent = css("--accent");
    plots.push(make(upper, { stroke: accent, width: 1.75, fill: accent + "18", points: { show: false } },
      [axis(hasDrawdown ? { show: true, size: 4, values: () => [], grid: { stroke: css("--line"), width: 1 } } : { space: 80, size: 28, values: dates }), axis({ size: 62, values: (_, ticks) => ticks.map(short) })],
      [columns[0], columns[1]], flows.some(Boolean) ? [markFlows] : []));
    if (hasDrawdown) {
      const colour = css("--drawdown");
      plots.push(make(height - upper, { stroke: colour, width: 1.5, fill: colour + "22", points: { show: false } },
        [axis({ space: 80, size: 28, values: dates }), axis({ size: 62, space: 24, values: (_, ticks) => ticks.map((tick) => `${number(tick * 100, Math.abs(tick) && Math.abs(tick) < .01 ? 1 : 0)}%`) })],
        [columns[0], columns[2]], [],
        // an account that never fell has an axis to 1 %, not to ten thousand
        { range: (_, _low, high) => [0, high > .01 ? uPlot.rangeNum(0, high, .1, true)[1] : .01] }));
    }
    write(plots[0]);
    mounted.set(figure, { columns, plots, width: area.clientWidth });
  };
  const mountCharts = (again = false) => {
    for (const figure of mounted.keys()) if (!figure.isConnected) mounted.delete(figure);
    if (typeof uPlot === "undefined") return;
    for (const figure of $$("[data-chart]")) {
      const known = mounted.get(figure);
      if (known && again) fill(figure, known.columns);
      if (known || figure.dataset.isLoading) continue;
      figure.dataset.isLoading = "1";
      fetch(figure.dataset.chart, { headers: { Accept: "application/json" } })
        .then((answer) => { if (!answer.ok) throw new Error(answer.status); return answer.json(); })
        .then((columns) => fill(figure, columns))
        .catch(() => {
          const note = document.createElement("div");
          note.className = "chart-message";
          note.textContent = "The curve could not be loaded. The rest of the page is current.";
          $("[data-area]", figure).replaceChildren(note);
        })
        .finally(() => { delete figure.dataset.isLoading; });
    }
  };
  let resizing = 0;
  addEventListener("resize", () => {
    clearTimeout(resizing);
    resizing = setTimeout(() => {
      for (const [figure, chart] of mounted) if ($("[data-area]", figure).clientWidth !== chart.width) fill(figure, chart.columns);
    }, 120);
  });
  document.addEventListener("click", (event) => {
    const link = event.target.closest("[data-as-table]");
    const chart = link && mounted.get(link.closest("[data-chart]"));
    if (!chart || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const figure = link.closest("[data-chart]");
    let holder = $(".chart-table", figure);
    if (!holder) {
      const [times, equity, drawdown, flows] = chart.columns, hasFlows = flows?.some(Boolean);
      const step = Math.max(1, Math.ceil(times.length / 400));
      holder = document.createElement("div");
      holder.className = "chart-table";
      const table = document.createElement("table"), body = document.createElement("tbody");
      table.className = "list";
      const row = (cells, tag) => { const tr = document.createElement("tr"); cells.forEach((text, n) => { const cell = document.createElement(tag); cell.textContent = text; if (n) cell.className = "num"; tr.append(cell); }); return tr; };
      const head = document.createElement("thead");
      head.append(row(["Time", "Equity", ...(drawdown ? ["Drawdown"] : []), ...(hasFlows ? ["Paid in or out"] : [])], "th"));
      for (let n = 0; n < times.length; n += step) {
        const moved = hasFlows ? flows.slice(Math.max(0, n - step + 1), n + 1).reduce((sum, one) => sum + one, 0) : 0;
        body.append(row([pad.format(new Date(times[n] * 1000)).slice(0, 16), number(equity[n]), ...(drawdown ? [`${number(drawdown[n] * 100)} %`] : []), ...(hasFlows ? [moved ? number(moved) : ""] : [])], "td"));
      }
      table.append(head, body);
      holder.append(table);
      figure.append(holder);
    } else holder.hidden = !holder.hidden;
    link.textContent = holder.hidden ? "As table" : "Hide table";
  });

  $("[data-focus]")?.focus();
  for (const tab of $$(".tabs a[aria-current]")) {
    const tabs = tab.parentElement;
    tabs.scrollLeft = tab.offsetLeft - tabs.offsetLeft - (tabs.clientWidth - tab.offsetWidth) / 2;
  }
  showTimes();
  readyToasts();
  mountCharts();
})();
