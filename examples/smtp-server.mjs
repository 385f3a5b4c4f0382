// A gateway in front of a mail store: passwords are asked of IMAP, recipients of LMTP, and a client hears 250 only when the store said so.
// Run it with: node examples/smtp-server.mjs (it starts the servers around it, and one client)
import { once } from "node:events";
import nodemailer from "nodemailer";
import { RemoteHosts } from "relaypost";
import { answerToTheEnd, smtpServerHandlers } from "relaypost/smtp-server";
import { listenImap, listenMail } from "relaypost/testing";
import { SMTPServer } from "smtp-server";

const imap = await listenImap({ users: { ann: "correct horse" } });
const lmtp = await listenMail({
  protocol: "lmtp",
  recipients: (address) => !address.startsWith("nobody@"),
  overrides: [{ on: "delivery", match: /^bob@/, reply: "452 4.2.2 mailbox full" }],
});
const plainText = { implicit: false, starttls: "disable" };
const remotes = await RemoteHosts.open({
  remote: {
    imap: {
      address: imap.address,
      port: imap.port,
      protocol: "imap",
      lookup: true,
      tls: plainText,
      auth: { "allow-plaintext": true },
    },
    lmtp: { address: lmtp.address, port: lmtp.port, protocol: "lmtp", lookup: true, tls: plainText },
  },
});

const gateway = answerToTheEnd(
  new SMTPServer({
    ...smtpServerHandlers({
      users: remotes.host("imap"),
      recipients: remotes.host("lmtp"),
      relay: remotes.host("lmtp"),
      timeoutMs: 60_000,
    }),
    allowHalfOpen: true,
    // In this example only: a gateway has a certificate.
    hideSTARTTLS: true,
    allowInsecureAuth: true,
  }),
);
gateway.listen(0, "127.0.0.1");
await once(gateway.server, "listening");

async function send(pass, to) {
  const { port } = gateway.server.address();
  const client = nodemailer.createTransport({ host: "127.0.0.1", port, ignoreTLS: true, auth: { user: "ann", pass } });
  const sending = client.sendMail({ from: "ann@example.org", to, subject: "hi", text: "Hello." });
  return sending.then(
    ({ response }) => response,
    (error) => error.response,
  );
}

console.log(await send("correct horse", "cid@example.org"));
console.log(await send("wrong", "cid@example.org"));
console.log(await send("correct horse", "nobody@example.org"));
console.log(await send("correct horse", "bob@example.org"));

gateway.close();
await remotes.close();
await Promise.all([lmtp.close(), imap.close()]);
