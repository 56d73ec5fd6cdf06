package main

import (
	"slices"

	"github.com/alecthomas/kong"
)

// usedSettings are the settings that commands use which do not use all of them.
var usedSettings = map[string][]string{
	"health":       {"config", "listen", "tls-cert"},
	"keys revoke":  {"config", "admin-listen", "admin-token", "admin-token-file"},
	"audit verify": {"config", "keys", "keys-file"},
	"login":        {}, "init": {}, "config schema": {}, "keygen": {}, "version": {}, "completion": {},
}

// printHelp is kong's help without the settings that the command does not use.
func printHelp(options kong.HelpOptions, k *kong.Context) error {
	command := ""
	if node := k.Selected(); node != nil {
		command = node.FullPath()[len(k.Model.Name)+1:]
	}
	if used, some := usedSettings[command]; some {
		for _, f := range k.Model.Flags {
			f.Hidden = f.Hidden || f.Name != "help" && !slices.Contains(used, f.Name)
		}
	}
	return kong.DefaultHelpPrinter(options, k)
}
