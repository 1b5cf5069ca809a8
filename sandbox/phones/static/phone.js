// The phone without reloading: taps are sent in the background, news is looked for every second,
// and pages open inside the phone, in a frame with cookies of its own. Everything works without.
(() => {
  const phone = document.querySelector("[data-phone]");
  const root = phone.dataset.phone;
  const find = (selector) => phone.querySelector(selector);
  const web = find(".web");
  const frame = find("iframe.page");
  let shownNews = find(".news").dataset.news;
  let hideNews = 0;

  const look = async () => {
    const query = new URLSearchParams({ chat: phone.dataset.chat, have: phone.dataset.version });
    const answer = await fetch(`${root}/live?${query}`).catch(() => null);
    if (answer === null || !answer.ok) return;
    const seen = await answer.json();
    find("[data-clock]").textContent = seen.clock;
    showNews(seen.news);
    if ("live" in phone.dataset) showChat(seen);
  };

  const showChat = (seen) => {
    const title = find("h1[data-title]");
    title.textContent = seen.typing ? "对方正在输入…" : title.dataset.title;
    const count = find("[data-unread]");
    count.textContent = seen.unread;
    count.hidden = seen.unread === 0;
    if (seen.log === undefined || seen.version === phone.dataset.version) return;
    phone.dataset.version = seen.version;
    find(".rows").innerHTML = seen.log;
    find(".log").scrollTop = 0;
  };

  const showNews = (news) => {
    const banner = find(".news");
    if (news === null || news.key === shownNews) return;
    shownNews = news.key;
    banner.querySelector("b").textContent = news.title;
    banner.querySelector("span").textContent = news.text;
    banner.querySelector("a").href = `${root}?chat=${encodeURIComponent(news.chat)}`;
    banner.hidden = false;
    clearTimeout(hideNews);
    hideNews = setTimeout(() => { banner.hidden = true; }, 20000);
  };

  const send = async (form, button) => {
    const body = new URLSearchParams(new FormData(form, button));
    form.querySelectorAll("input:not([type=hidden])").forEach((input) => { input.value = ""; });
    phone.querySelectorAll("details[open]").forEach((one) => { one.open = false; });
    setTimeout(look, 60);
    const answer = await fetch(form.action, { method: "POST", body, headers: { "X-Live": "1" } });
    if (answer.status === 200) openPage((await answer.json()).open, "");
    look();
  };

  const openPage = (href, title) => {
    const page = new URL(href, location.href).searchParams.get("next") ?? href;
    web.dataset.page = page;
    web.dataset.href = href;
    web.querySelector("h1").textContent = title || new URL(page, location.href).host;
    web.querySelector("[data-share]").href =
      `${root}/friends?${new URLSearchParams({ url: page, title: title || page })}`;
    frame.src = href;
    web.hidden = false;
  };

  const closePage = () => {
    web.hidden = true;
    frame.src = "about:blank";
    look();
  };

  document.addEventListener("submit", (event) => {
    if (!event.target.matches("form[data-send]")) return;
    event.preventDefault();
    send(event.target, event.submitter);
  });

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-web]");
    if (link !== null && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      openPage(link.href, link.dataset.web);
    }
    const open = event.target.closest("details");
    phone.querySelectorAll("details[open]").forEach((one) => {
      if (one !== open && !one.contains(event.target)) one.open = false;
    });
  });

  // A long press on a message, or a click with the other button, passes it on.
  document.addEventListener("contextmenu", (event) => {
    const pass = event.target.closest(".row")?.querySelector("a.pass");
    if (pass) { event.preventDefault(); location.href = pass.href; }
  });

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !web.hidden) closePage();
    if (event.key === "Enter" && event.target.matches("label[role=button]")) event.target.click();
  });

  web.querySelector("[data-close]").addEventListener("click", closePage);
  web.querySelector("[data-reload]").addEventListener("click", () => { frame.src = web.dataset.href; });
  web.querySelector("[data-snapshot]").addEventListener("click", () => {
    frame.src = `${web.dataset.href}&snapshot=true`;
  });

  find(".news button").addEventListener("click", () => { find(".news").hidden = true; });

  setInterval(() => { if (!document.hidden) look(); }, 1000);
})();
