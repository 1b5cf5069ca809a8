// The phone without reloading: taps are sent in the background, news is looked for every second,
// and pages open inside the phone, in a frame with cookies of its own. Everything works without.
(() => {
  const phone = document.querySelector("[data-phone]");
  const root = phone.dataset.phone;
  const find = (selector) => phone.querySelector(selector);
  const web = find(".web");
  const frame = find("iframe.page");
  const banner = find(".news");
  let hiding = 0;

  const look = async () => {
    const query = new URLSearchParams({ chat: phone.dataset.chat, have: phone.dataset.version });
    const answer = await fetch(`${root}/live?${query}`).catch(() => null);
    // The sandbox was started anew and knows nobody of before: the page says so.
    if (answer?.status === 404) location.reload();
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

  // Once is enough: a banner that was put away or has had its time stays away on every page.
  const hideNews = () => {
    banner.hidden = true;
    sessionStorage.setItem("news", banner.dataset.news);
  };

  const waitToHide = () => {
    clearTimeout(hiding);
    hiding = setTimeout(hideNews, 20000);
  };

  const showNews = (news) => {
    if (news === null || news.key === banner.dataset.news) return;
    banner.dataset.news = news.key;
    banner.querySelector("b").textContent = news.title;
    banner.querySelector("span").textContent = news.text;
    banner.querySelector("a").href = `${root}?chat=${encodeURIComponent(news.chat)}`;
    banner.hidden = false;
    waitToHide();
  };

  const send = async (form, button) => {
    const body = new URLSearchParams(new FormData(form, button));
    const typed = [...form.querySelectorAll("input:not([type=hidden])")];
    const words = typed.map((input) => input.value);
    typed.forEach((input) => { input.value = ""; });
    phone.querySelector(".unsent")?.remove();
    phone.querySelectorAll("details[open]").forEach((one) => { one.open = false; });
    setTimeout(look, 60);
    const headers = { "X-Live": "1" };
    const answer = await fetch(form.action, { method: "POST", body, headers }).catch(() => null);
    if (answer === null || !answer.ok) {
      typed.forEach((input, place) => { input.value ||= words[place]; });
      find(".rows").insertAdjacentHTML("beforeend", find("template").innerHTML);
      return;
    }
    if (answer.status === 200) openPage((await answer.json()).open, "");
    look();
  };

  const openPage = (href, title) => {
    const page = new URL(href, location.href).searchParams.get("next") ?? href;
    web.dataset.page = page;
    web.dataset.href = href;
    // The page's own title cannot be read from here, so who runs the site stands for it.
    const heading = web.querySelector("h1");
    heading.textContent = title || heading.dataset.site;
    web.querySelector("[data-share]").href =
      `${root}/friends?${new URLSearchParams({ url: page, title: title || page })}`;
    frame.src = href;
    web.hidden = false;
  };

  const closePage = () => {
    web.hidden = true;
    web.querySelector("[data-full]").hidden = true;
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
      if (one !== open || event.target.closest(".web .sheet")) one.open = false;
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
  const full = web.querySelector("[data-full]");
  const reload = () => { full.hidden = true; frame.src = web.dataset.href; };
  web.querySelector("[data-reload]").addEventListener("click", reload);
  full.addEventListener("click", reload);
  web.querySelector("[data-snapshot]").addEventListener("click", () => {
    full.hidden = false;
    frame.src = `${web.dataset.href}&snapshot=true`;
  });

  banner.querySelector("button").addEventListener("click", hideNews);
  if (banner.dataset.news === sessionStorage.getItem("news")) banner.hidden = true;
  waitToHide();

  setInterval(() => { if (!document.hidden) look(); }, 1000);
})();
