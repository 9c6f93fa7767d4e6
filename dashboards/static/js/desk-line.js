// Asking the desk's service worker, for the pages of the desk.

export const worker = async () => {
  if (!("serviceWorker" in navigator)) return null;
  await navigator.serviceWorker.register("/desk/worker.js", { scope: "/desk" });
  return (await navigator.serviceWorker.ready).active;
};

export const ask = (active, what, more = {}) =>
  new Promise((resolve, reject) => {
    const channel = new MessageChannel();
    channel.port1.onmessage = ({ data }) => (data.error ? reject(new Error(data.error)) : resolve(data.value));
    active.postMessage({ what, ...more }, [channel.port2]);
  });

// "{n} entries" and "{n} entry": the server gives both, the page chooses.
export const counted = (n, host, name) =>
  (n === 1 ? host.dataset[`${name}One`] : host.dataset[`${name}Many`]).replace("{n}", n);
