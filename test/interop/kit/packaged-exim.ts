/**
 * Exim's configuration as Debian's package makes it: by its own program, from its own template and the answers that its installation
 * asks for. Only the places of files are others. Serves exim.ts.
 */
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { DOMAIN, run } from "./sandbox.js";

/** Answers to the questions of the installation; the others are as they are offered. */
export interface PackagedSettings {
  /** `local` is offered: mail for this machine only. `smarthost`: all other mail goes to one host. */
  readonly type: "local" | "smarthost";
  readonly smarthost?: { readonly address: string; readonly port: number };
  /** Main options of a site's own. */
  readonly more?: string;
}

/** The local domain of the machine, besides `localhost`. */
export const EXIM_DOMAIN = `exim.${DOMAIN}`;

/** @returns the configuration's file in that folder */
export function packagedConfiguration(program: string, folder: string, settings: PackagedSettings): string {
  const { type, smarthost, more = "" } = settings;
  const unpacked = dirname(dirname(dirname(program)));
  const answers = join(folder, "conf");
  mkdirSync(answers);
  copyFileSync(join(unpacked, "etc/exim4/exim4.conf.template"), join(answers, "exim4.conf.template"));
  writeFileSync(
    join(answers, "update-exim4.conf.conf"),
    `dc_eximconfig_configtype='${type}'
dc_other_hostnames='${EXIM_DOMAIN}'
dc_local_interfaces='127.0.0.1'
dc_readhost=''
dc_relay_domains=''
dc_minimaldns='false'
dc_relay_nets=''
dc_smarthost='${smarthost === undefined ? "" : `${smarthost.address}::${smarthost.port}`}'
CFILEMODE='644'
dc_use_split_config='false'
dc_hide_mailname=''
dc_mailname_in_oh='true'
dc_localdelivery='mail_spool'
`,
  );
  const file = join(folder, "exim.conf");
  run("sh", join(unpacked, "usr/sbin/update-exim4.conf"), "-d", answers, "-o", file);
  const packaged = readFileSync(file, "utf8").replace(/^exim_path = .*$/m, `exim_path = ${program}`);
  // A machine's name stands in /etc/mailname, which not every machine has.
  const ours = `SPOOLDIR = ${folder}/spool\nMAIN_QUALIFY_DOMAIN = ${EXIM_DOMAIN}\nlog_file_path = ${folder}/log/%slog\n`;
  writeFileSync(file, `${ours}${more}${packaged}`);
  return file;
}
