// Keeps what a guide writes: on the server while they write, on the phone while it is offline.
(() => {
  const form = document.querySelector("form.draft[data-keep]");
  if (!form) return;
  const field = form.elements.namedItem("text");
  const note = form.querySelector("[data-note]");
  const place = `zhiyin-draft:${form.dataset.keep}`;
  const say = (kind) => { note.hidden = false; note.dataset.is = kind; note.textContent = note.dataset[kind]; };
  let kept = field.value, timer = 0;

  const keep = async () => {
    clearTimeout(timer);
    const words = field.value;
    if (words === kept) return;
    try {
      const answer = await fetch(form.dataset.keep, {
        method: "POST", body: new URLSearchParams({ text: words }), redirect: "manual", keepalive: true,
      });
      if (answer.status !== 204) throw new Error("not kept");
      kept = words;
      if (field.value === words) { localStorage.removeItem(place); say("kept"); }
    } catch { say("offline"); }
  };

  field.addEventListener("input", () => {
    localStorage.setItem(place, field.value);
    clearTimeout(timer);
    timer = setTimeout(keep, 800);
  });
  document.addEventListener("visibilitychange", () => { if (document.hidden) keep(); });
  window.addEventListener("pagehide", keep);
  window.addEventListener("online", keep);
  form.addEventListener("submit", () => { clearTimeout(timer); kept = field.value; });

  const left = localStorage.getItem(place);
  if (form.dataset.fresh) localStorage.removeItem(place);
  else if (left && left !== field.value) { field.value = left; say("found"); keep(); }

  const copy = form.querySelector("[data-copy]");
  if (copy && navigator.clipboard) {
    copy.hidden = false;
    copy.addEventListener("click", async () => { await navigator.clipboard.writeText(field.value); say("copied"); });
  }
})();
