// Found beside this Haraka's configuration, wherever Haraka itself is installed.
Object.assign(exports, require("node:module").createRequire(__filename)("relaypost/haraka"));
