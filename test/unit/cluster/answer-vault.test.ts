import assert from "node:assert/strict";
import { test } from "node:test";
import { AnswerVault } from "../../../src/cluster/answer-vault.js";
import { smtpSettings } from "../../kit/smtp-dialogue.js";

const HOST = smtpSettings({ id: "lmtp", cluster: { cache: true } });
const VAULT = new AnswerVault("a secret that is long enough for a vault", "mail");

test("answers stand where gateways of earlier versions look for them", () => {
  const place = { client: "", credentials: undefined };
  const ofRecipient = VAULT.placeOf(HOST, { kind: "rcpt", value: "Ännä@EXAMPLE.org", ...place });
  const ofUser = VAULT.placeOf(HOST, {
    kind: "auth",
    value: "anna",
    client: "",
    credentials: { username: "anna", secret: "right", isToken: false },
  });
  assert.deepEqual(
    [ofRecipient, ofUser].map(({ record, field }) => [record, field]),
    [
      ["csNzykfgf6bmQvJ6cWb6uTMKr8rkfB429rm7Cv_T5bM", "8_6wFl1kTf42qSkSMwvgQCI7zW48GAdrF5OvVrc-5Z4"],
      ["bLyF5rPqmpuur7byrLR631fVhYKhyIapIAnbRVKl320", "b-rquhzNlKBiRWiHGHAPPC6dQbjo7u5f4Aw2A8aTDqo"],
    ],
  );
  assert.equal(VAULT.recordOf(HOST, "recipient", "Ännä@example.org"), ofRecipient.record);
  assert.equal(VAULT.recordOf(HOST, "username", "anna"), ofUser.record);
});

test("a sealed answer is opened as it was, at its place alone, and whole alone", () => {
  const [place, other] = ["a@example.org", "b@example.org"].map((value) =>
    VAULT.placeOf(HOST, { kind: "rcpt", value, client: "", credentials: undefined }),
  );
  const answer = { found: true, values: ["„ö“"], reply: { code: 250, text: "Ännä 🙂" } };
  const sealed = VAULT.sealAnswer(answer, place!);
  assert.deepEqual(VAULT.openAnswer(sealed, place!), answer);
  assert.equal(VAULT.openAnswer(sealed, other!), undefined);
  const bytes = Buffer.from(sealed, "base64");
  for (let at = 0; at < bytes.length; at++) {
    bytes[at]! ^= 1;
    assert.equal(VAULT.openAnswer(bytes.toString("base64"), place!), undefined, `octet ${at}`);
    bytes[at]! ^= 1;
    assert.equal(VAULT.openAnswer(bytes.subarray(0, at).toString("base64"), place!), undefined, `${at} octets`);
  }
});
