// Stands in for WeCom's JS SDK: the same names, promises and answers (wecom.md §6.2). The page asks
// the phone around it, and the phone does what the client would.
(() => {
  const NOBODY_MILLISECONDS = 3000;
  const waiting = new Map();
  let number = 0;

  window.addEventListener("message", (event) => {
    const answer = event.data?.wecomAnswer;
    if (event.source !== window.parent || answer === undefined) return;
    const settle = waiting.get(answer.id);
    waiting.delete(answer.id);
    if (settle === undefined) return;
    if (answer.result.errMsg.endsWith(":ok")) settle.done(answer.result); else settle.failed(answer.result);
  });

  const ask = (name, said) => new Promise((done, failed) => {
    const id = ++number;
    if (window.parent === window) {
      failed({ errMsg: `${name}:fail not in the client`, errCode: -1 });
      return;
    }
    waiting.set(id, { done, failed });
    window.parent.postMessage({ wecomCall: { id, name, said, page: location.href.split("#")[0] } }, "*");
    setTimeout(() => {
      if (name !== "sendChatMessage" && waiting.delete(id)) failed({ errMsg: `${name}:fail no client`, errCode: -1 });
    }, NOBODY_MILLISECONDS);
  });

  const register = async ({ corpId, agentId, jsApiList, getConfigSignature, getAgentConfigSignature }) => {
    const url = location.href.split("#")[0];
    const [config, agentConfig] = await Promise.all([getConfigSignature(url), getAgentConfigSignature(url)]);
    return ask("register", { corpId, agentId, jsApiList, config, agentConfig });
  };

  window.ww = {
    register,
    getContext: () => ask("getContext", {}),
    getCurExternalContact: () => ask("getCurExternalContact", {}),
    sendChatMessage: (said) => ask("sendChatMessage", said),
  };
})();
