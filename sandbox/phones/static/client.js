// The WeCom client on a guide's phone: carries the calls of the page in the toolbar to the sandbox.
(() => {
  const frame = document.querySelector("iframe[data-jsapi]");
  if (frame === null) return;
  window.addEventListener("message", async (event) => {
    const call = event.data?.wecomCall;
    if (event.source !== frame.contentWindow || call === undefined) return;
    const answer = await fetch(frame.dataset.jsapi, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ name: call.name, page: call.page, said: call.said }),
    });
    event.source.postMessage({ wecomAnswer: { id: call.id, result: await answer.json() } }, event.origin);
  });
})();
