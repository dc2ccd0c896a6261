// Passkeys: the browser's part of making and of using one. Their forms are not shown where a browser has none.
(() => {
  "use strict";
  const forms = document.querySelectorAll("form[data-passkey]");
  if (!window.PublicKeyCredential) return forms.forEach((form) => { form.hidden = true; });
  const toBytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (char) => char.charCodeAt(0));
  const toText = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer)))
    .replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  const withBytes = (keys) => (keys || []).map((key) => ({ ...key, id: toBytes(key.id) }));

  const create = ({ publicKey: asked }) => navigator.credentials.create({ publicKey: {
    ...asked,
    challenge: toBytes(asked.challenge),
    user: { ...asked.user, id: toBytes(asked.user.id) },
    excludeCredentials: withBytes(asked.excludeCredentials),
  } });
  const use = ({ publicKey: asked }) => navigator.credentials.get({ publicKey: {
    ...asked, challenge: toBytes(asked.challenge), allowCredentials: withBytes(asked.allowCredentials),
  } });
  const answerOf = (credential) => {
    const names = ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"];
    const parts = names.filter((name) => credential.response[name]).map((name) => [name, toText(credential.response[name])]);
    return {
      id: credential.id, rawId: toText(credential.rawId), type: credential.type, response: Object.fromEntries(parts),
      authenticatorAttachment: credential.authenticatorAttachment, clientExtensionResults: credential.getClientExtensionResults(),
    };
  };
  const fetched = async (address) => (await fetch(address, { headers: { Accept: "application/json" } })).json();

  for (const form of forms) {
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const problem = form.querySelector("[data-problem]");
      problem.hidden = true;
      try {
        const options = form.dataset.options ? JSON.parse(form.dataset.options) : (await fetched(form.action)).request_options;
        const credential = await (form.dataset.passkey === "create" ? create : use)(options);
        form.elements.credential.value = JSON.stringify(answerOf(credential));
        HTMLFormElement.prototype.submit.call(form);
      } catch (error) {
        problem.textContent = error.name === "InvalidStateError" ? "This device has a passkey for you already."
          : "No passkey was used. Try again, or go another way.";
        problem.hidden = false;
      }
    });
  }
})();
