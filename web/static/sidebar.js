// The toolbar of a chat: asks WeCom who the friend is, shows what we know, sends and says how it went.
(() => {
  const page = document.querySelector("[data-sidebar]");
  const part = page.querySelector("[data-part]");
  const note = page.querySelector("[data-note]");
  const SDK_MILLISECONDS = 6000;
  const APIS = ["getCurExternalContact", "sendChatMessage"];
  let friend = "", isBusy = false, kept = "", timer = 0;

  const show = (state) => {
    page.querySelectorAll("[data-state]").forEach((one) => { one.hidden = one.dataset.state !== state; });
    part.hidden = state !== "part";
  };
  const whisper = (kind) => {
    note.textContent = note.dataset[kind];
    note.hidden = false;
    setTimeout(() => { note.hidden = true; }, 2500);
  };
  const pause = (milliseconds) => new Promise((go) => { setTimeout(go, milliseconds); });
  const orLate = (promise) => Promise.race([promise, pause(SDK_MILLISECONDS).then(() => { throw new Error("late"); })]);

  const load = (address) => new Promise((done, failed) => {
    const script = document.createElement("script");
    script.src = address;
    script.onload = done;
    script.onerror = () => failed(new Error("no sdk"));
    document.head.append(script);
  });

  // A session that has ended answers with a redirect, which a fetch must not follow to WeCom.
  const ask = async (path, options = {}) => {
    const answer = await fetch(path, { redirect: "manual", ...options });
    if (answer.type === "opaqueredirect") { location.reload(); throw new Error("log in"); }
    return answer;
  };
  const sign = (kind) => async (url) => {
    const address = (url ?? location.href).split("#")[0];
    const answer = await ask(`/guide/sidebar/sign?${new URLSearchParams({ kind, url: address })}`);
    if (!answer.ok) throw new Error("no signature");
    return answer.json();
  };

  const meet = async () => {
    await orLate(load(page.dataset.sdk));
    await orLate(Promise.resolve(ww.register({
      corpId: page.dataset.corp,
      agentId: Number(page.dataset.agent),
      jsApiList: APIS,
      getConfigSignature: sign("corp"),
      getAgentConfigSignature: sign("agent"),
    })));
    return whoIsIt();
  };
  const whoIsIt = async () => (await orLate(ww.getCurExternalContact())).userId;

  const put = (html) => {
    part.innerHTML = html;
    kept = words()?.value ?? "";
    show("part");
  };
  const words = () => part.querySelector("textarea[name=text]");

  const start = async () => {
    show("looking");
    try {
      friend = await meet();
    } catch (fault) {
      const why = String(fault?.errMsg ?? fault);
      show(/allow list|no permission/.test(why) ? "forbidden" : "outside");
      return;
    }
    try {
      const answer = await ask(`/guide/sidebar/with/${encodeURIComponent(friend)}`);
      if (!answer.ok) throw new Error("no part");
      put(await answer.text());
    } catch { show("offline"); }
  };

  const post = async (path, fields) => {
    const answer = await ask(path, { method: "POST", body: new URLSearchParams(fields), keepalive: true });
    if (!answer.ok) throw new Error("refused");
    return answer.json();
  };

  // What the client did is known here and nowhere else, so it is said until somebody has heard it.
  const tell = async (path, fields) => {
    for (const wait of [0, 1000, 3000, 9000]) {
      await pause(wait);
      try { return await post(path, { customer: friend, ...fields }); } catch { /* once more */ }
    }
    return null;
  };

  const heard = (why) => {
    if (/:ok$/.test(why)) return { how: "ok", why: "" };
    return { how: /:cancel/.test(why) ? "cancel" : "error", why };
  };
  const say = async (content) => {
    try {
      const found = await ww.sendChatMessage({ msgtype: "text", text: { content } });
      return heard(found?.errMsg ?? "sendChatMessage:ok");
    } catch (fault) {
      // Without the client's own word nobody knows: the guide is asked.
      return typeof fault?.errMsg === "string" ? heard(fault.errMsg) : null;
    }
  };

  const send = async (form) => {
    clearTimeout(timer);
    friend = await whoIsIt();
    const asked = await post(form.dataset.send, { customer: friend, text: words().value });
    if (asked.words === null) { put(asked.part); return; }
    const outcome = await say(asked.words);
    const told = outcome && await tell(form.dataset.told, { turn: asked.turn, ...outcome });
    put(told ? told.part : asked.part);
    window.scrollTo({ top: 0 });
  };
  const answer = async (form, how) => {
    const told = await tell(form.dataset.told, { turn: form.dataset.turn, how });
    if (told) put(told.part); else show("offline");
  };

  part.addEventListener("submit", async (event) => {
    const form = event.target;
    if (!form.dataset.send && !form.dataset.told) return;
    event.preventDefault();
    if (isBusy) return;
    isBusy = true;
    const button = event.submitter;
    if (button) button.disabled = true;
    try {
      await (form.dataset.send ? send(form) : answer(form, button.value));
    } catch {
      whisper("failed");
    } finally {
      isBusy = false;
      if (button) button.disabled = false;
    }
  });

  const keep = async () => {
    const field = words();
    const form = field?.form;
    if (!form?.dataset.keep || isBusy || field.value === kept) return;
    const typed = field.value;
    try {
      const answer = await fetch(form.dataset.keep, {
        method: "POST", body: new URLSearchParams({ text: typed }), redirect: "manual", keepalive: true,
      });
      if (answer.status === 204) kept = typed;
    } catch { /* it goes along when it is sent */ }
  };
  part.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(keep, 800); });
  document.addEventListener("visibilitychange", () => { if (document.hidden) keep(); });

  part.addEventListener("click", async (event) => {
    if (!event.target.matches("[data-copy]")) return;
    try {
      await navigator.clipboard.writeText(words().value);
    } catch {
      words().select();
      document.execCommand("copy");
    }
    whisper("copied");
  });
  page.querySelector("[data-again]").addEventListener("click", start);

  start();
})();
