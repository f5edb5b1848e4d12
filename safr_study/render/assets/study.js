// Sentences of marks beside the pointer or the focus; arrow keys from mark to mark; what is drawn of
// one trial lights up together; folded parts are unfolded on paper. Without it the page is as read.
(() => {
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  tip.setAttribute("aria-hidden", "true"); // The marks' own labels say the same.
  document.body.append(tip);

  const sentences = new WeakMap();
  const marks = [...document.querySelectorAll(".mark[tabindex], .w.mark")];
  for (const mark of marks) {
    const title = mark.querySelector(":scope > title");
    const said = title ? title.textContent : mark.getAttribute("title");
    if (!said) continue;
    // Else the browser shows it a second time.
    if (title) title.remove();
    else {
      mark.removeAttribute("title");
      mark.setAttribute("aria-label", mark.textContent + ": " + said);
      mark.setAttribute("role", "img");
    }
    sentences.set(mark, said);
  }

  const show = mark => {
    const said = sentences.get(mark);
    if (!said) return;
    tip.textContent = said;
    tip.hidden = false;
    const at = mark.getBoundingClientRect(), size = tip.getBoundingClientRect();
    // A line is as large as its chart: beside its right end then.
    const wide = at.width > 300;
    const left = wide ? at.right - size.width : at.left + at.width / 2 - size.width / 2;
    const above = at.top - size.height - 10;
    tip.style.left = Math.max(8, Math.min(left, innerWidth - size.width - 8)) + "px";
    tip.style.top = (above > 8 ? above : Math.min(at.bottom + 10, innerHeight - size.height - 8)) + "px";
  };
  const hide = () => { tip.hidden = true; };
  const light = (element, on) => {
    const owner = element && element.closest("[data-trial]");
    if (!owner) return;
    for (const other of document.querySelectorAll(`[data-trial="${owner.dataset.trial}"]`))
      other.classList.toggle("lit", on);
  };

  const markOf = event => event.target instanceof Element ? event.target.closest(".mark") : null;
  document.addEventListener("pointerover", event => {
    light(event.target, true);
    const mark = markOf(event);
    if (mark) show(mark);
  });
  document.addEventListener("pointerout", event => {
    light(event.target, false);
    if (markOf(event)) hide();
  });
  document.addEventListener("focusin", event => {
    light(event.target, true);
    const mark = markOf(event);
    if (mark) show(mark);
  });
  document.addEventListener("focusout", event => {
    light(event.target, false);
    hide();
  });
  addEventListener("scroll", hide, { passive: true, capture: true });

  for (const group of document.querySelectorAll("[data-roving]")) {
    const members = [...group.querySelectorAll(".mark")].filter(mark => sentences.has(mark));
    const place = new Map(members.map(mark => {
      const halo = mark.querySelector(".halo");
      return [mark, halo ? Number(halo.getAttribute("cx")) : 0];
    }));
    members.sort((a, b) => place.get(a) - place.get(b));
    const choose = chosen => members.forEach(mark => {
      mark.setAttribute("tabindex", mark === chosen ? "0" : "-1");
    });
    choose(members.find(mark => mark.matches(".knee, .compromise")) || members[0]);
    group.addEventListener("keydown", event => {
      if (event.key === "Escape") return hide();
      const here = members.indexOf(markOf(event));
      const ways = { ArrowRight: here + 1, ArrowDown: here + 1, ArrowLeft: here - 1,
        ArrowUp: here - 1, Home: 0, End: members.length - 1 };
      if (here < 0 || !(event.key in ways)) return;
      event.preventDefault();
      const next = members[(ways[event.key] + members.length) % members.length];
      choose(next);
      next.focus();
    });
    group.addEventListener("focusin", event => {
      const mark = markOf(event);
      if (mark && members.includes(mark)) choose(mark);
    });
  }

  for (const button of document.querySelectorAll("[data-save]")) {
    button.hidden = false;
    button.addEventListener("click", () => {
      const text = document.getElementById(button.dataset.save).textContent;
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
      link.download = button.dataset.name;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    });
  }

  let folded = [];
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open])")];
    folded.forEach(one => { one.open = true; });
  });
  addEventListener("afterprint", () => folded.forEach(one => { one.open = false; }));
})();
