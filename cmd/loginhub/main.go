package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"loginhub/cmd/loginhub/logqueue"
	"loginhub/hub/keys"
)

// Exit codes.
const (
	exitFailure = 1 // the node could not start, or failed
	exitUsage   = 2 // the configuration is wrong
)

// commands are the commands and the settings. The settings are here, so that --help
// of each command shows them.
type commands struct {
	Config

	Serve      serveCmd      `cmd:"" default:"1" help:"Run a node (the default)."`
	Check      checkCmd      `cmd:"" help:"Test the settings against the real Redis, WeChat and public URL. Exit code 1 if a check fails."`
	Health     health        `cmd:"" help:"Check that the node on this machine is alive. Exit code 0 or 1."`
	Login      loginCmd      `cmd:"" help:"Log in at a provider by phone, in the terminal (device grant, RFC 8628)."`
	Init       initCmd       `cmd:"" help:"Write a commented file for --config."`
	ConfigCmd  configCmd     `cmd:"" name:"config" help:"Check or show the settings, or print the schema of their file."`
	Keygen     keygenCmd     `cmd:"" help:"Print a new key for LOGINHUB_KEYS."`
	AuditCmd   auditCmd      `cmd:"" name:"audit" help:"Verify the audit file of LOGINHUB_AUDIT_CHAIN."`
	KeysCmd    keysCmd       `cmd:"" name:"keys" help:"Revoke a master key on all nodes."`
	Version    versionCmd    `cmd:"" help:"Print version, commit and Go's version."`
	Completion completionCmd `cmd:"" help:"Print the script that completes loginhub's commands and flags in a shell."`

	PrintVersion kong.VersionFlag `name:"version" env:"-" help:"Print version, commit, Go's version and the modules."`
}

type (
	serveCmd   struct{}
	keygenCmd  struct{}
	versionCmd struct{}
)

func main() {
	hup := make(sighups, 1)
	signal.Notify(hup, syscall.SIGHUP) // first, because by default SIGHUP ends the process
	if err := normalizeEnv(); err != nil {
		exit(exitFailure, err)
	}
	cli, k, err := parse(os.Args[1:], kong.Help(printHelp))
	if err != nil {
		exit(exitUsage, &usageError{err})
	}
	for _, name := range unknownEnv(k.Model.Flags) {
		fmt.Fprintf(os.Stderr, "loginhub: %s is not a setting and is ignored; `loginhub --help` lists them\n", name)
	}
	if err := k.Run(&cli.Config, hup, k); err != nil {
		var wrong *usageError
		if errors.As(err, &wrong) {
			exit(exitUsage, err)
		}
		var coded *exitError
		if errors.As(err, &coded) {
			exit(coded.code, err)
		}
		exit(exitFailure, err)
	}
}

// parse reads the settings of the file of --config, the environment and the arguments.
func parse(args []string, options ...kong.Option) (*commands, *kong.Context, error) {
	var cli commands
	file := &configFile{}
	parser, err := kong.New(&cli, append(options, kong.Name("loginhub"), kong.DefaultEnvars("LOGINHUB"), kong.Resolvers(file), kong.Vars{"version": buildInfo()},
		kong.Description("Log a PC browser in with a phone. With nothing configured: a sandbox with an in-memory store on http://localhost:8080."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 110}))...)
	if err != nil {
		return nil, nil, err
	}
	cli.flags = settingFlags(parser.Model)
	if cli.ConfigFile = configPath(args); cli.ConfigFile != "" {
		if err := cli.readConfigFile(); err != nil {
			return nil, nil, err
		}
		*file = *cli.file
	}
	k, err := parser.Parse(kidLast(args))
	return &cli, k, err
}

func exit(code int, err error) {
	printError(err)
	os.Exit(code)
}

// usageError is a configuration that the operator must correct.
type usageError struct{ err error }

func (e *usageError) Error() string {
	return "the configuration is wrong:\n" + e.err.Error() + "\n`loginhub --help` lists all settings"
}

func (e *usageError) Unwrap() error { return e.err }

// Run implements `loginhub serve`.
func (serveCmd) Run(c *Config, hup sighups, k *kong.Context) error {
	given := *c // before files are read into it
	effective, err := c.effective(k)
	if err != nil {
		return &usageError{err}
	}
	set, err := c.load()
	if err != nil {
		return &usageError{err}
	}
	signal.Ignore(syscall.SIGPIPE) // a log collector that restarts must not end the node
	logs, err := openLogs(c)
	if err != nil {
		return &usageError{err}
	}
	defer logs.Close()
	slog.SetDefault(logs.log) // for libraries
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	screen := logqueue.New(logqueue.Config{Out: os.Stdout})
	app := &App{original: given, effective: effective, set: set, sighups: hup, logs: logs, log: logs.log, Started: func(w endpoints) {
		set.printBanner(screen, w)
		screen.Close(flushTimeout) // before the log's first line
	}}
	err = app.Run(ctx)
	logs.logEnd(err)
	return err
}

// Run implements `loginhub keygen`.
func (keygenCmd) Run() error {
	fmt.Println(keys.NewMasterKey().Reveal())
	return nil
}

// Run implements `loginhub version`.
func (versionCmd) Run() error {
	fmt.Println("loginhub", version())
	return nil
}

// buildInfo returns the version and the modules that are built in, one in a line.
func buildInfo() string {
	text := "loginhub " + version()
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			text += "\n" + m.Path + " " + m.Version
		}
	}
	return text
}

// releaseVersion and commit are set in builds without Git's history: -ldflags "-X
// main.releaseVersion=v1.2.3 -X main.commit=0123456789ab".
var releaseVersion, commit string

// version returns version, commit, whether the tree was changed, Go's version, and
// the platform.
func version() string {
	text, from, dirty := build()
	if from != "" {
		text += " " + from
	}
	if dirty && !strings.HasSuffix(text, "+dirty") {
		text += " dirty"
	}
	return text + " " + runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH
}

// build returns the version, the first twelve digits of the commit ("" if unknown), and
// whether the tree was changed.
func build() (version, from string, dirty bool) {
	version, from = "unknown", commit
	if info, ok := debug.ReadBuildInfo(); ok {
		version = info.Main.Version
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision" && from == "":
				from = s.Value
			case s.Key == "vcs.modified":
				dirty = s.Value == "true"
			}
		}
	}
	if releaseVersion != "" {
		version = releaseVersion
	}
	return version, from[:min(12, len(from))], dirty
}

var semanticVersion = regexp.MustCompile(`^v(\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?)$`)

// packageVersion returns a version as in semver.org 2.0. That of a development build names
// its commit, with a letter before it, because a number must not begin with 0.
func packageVersion(version, from string) string {
	if m := semanticVersion.FindStringSubmatch(version); m != nil {
		return m[1]
	}
	if from == "" {
		return "0.0.0-dev"
	}
	return "0.0.0-dev.g" + from
}
