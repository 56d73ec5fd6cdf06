package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/term"

	"loginhub/cmd/loginhub/devicelogin"
)

// Exit codes of `loginhub login`, beside exitFailure and exitUsage. With --exec the
// command's exit code is the program's.
const (
	exitDenied      = 3
	exitExpired     = 4
	exitInterrupted = 130 // as shells report SIGINT
)

// loginTimeout bounds one request. Providers hold a poll for some seconds.
const loginTimeout = 30 * time.Second

// loginCmd is `loginhub login`. It uses none of the node's settings except
// --insecure-http.
type loginCmd struct {
	Issuer string `env:"-" required:"" help:"URL of the OpenID provider, for example https://login.example.com." placeholder:"URL"`
	Client string `env:"-" required:"" help:"Id of a public client with the device grant." placeholder:"ID"`
	Scope  string `env:"-" default:"openid" help:"Scopes, separated by spaces."`
	Exec   string `env:"-" help:"Shell command that gets the tokens in LOGINHUB_ID_TOKEN and LOGINHUB_ACCESS_TOKEN, and as JSON on its standard input, instead of printing them." placeholder:"CMD"`
}

// Help implements kong.HelpProvider.
func (loginCmd) Help() string {
	return "The token is printed as JSON on standard output, everything else on standard error.\n" +
		"Exit codes: 0 logged in, 1 failed, 2 wrong usage, 3 declined on the phone, 4 the code has expired, 130 interrupted; with --exec that of CMD."
}

// Run implements `loginhub login`.
func (l loginCmd) Run(c *Config) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	screen := devicelogin.Screen{Out: os.Stderr}
	if fd := int(os.Stderr.Fd()); term.IsTerminal(fd) && os.Getenv("TERM") != "dumb" {
		screen.Columns, _, _ = term.GetSize(fd) // 0 draws no code
	}
	login := devicelogin.Login{Issuer: l.Issuer, ClientID: l.Client, Scope: l.Scope, InsecureHTTP: c.InsecureHTTP, Screen: screen,
		// A redirect would take the device code to another address.
		HTTP: &http.Client{Timeout: loginTimeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	token, err := login.Run(ctx)
	switch {
	case errors.Is(err, devicelogin.ErrDenied):
		return &exitError{exitDenied, err}
	case errors.Is(err, devicelogin.ErrExpired):
		return &exitError{exitExpired, err}
	case ctx.Err() != nil:
		return &exitError{exitInterrupted, errors.New("interrupted")}
	case err != nil:
		return fmt.Errorf("login: %w", err)
	}
	stop() // from now on signals are the command's
	text, err := json.Marshal(token)
	if err != nil {
		return fmt.Errorf("login: %w", err)
	}
	text = append(text, '\n')
	if l.Exec != "" {
		return l.exec(token, text)
	}
	if _, err := os.Stdout.Write(text); err != nil {
		return fmt.Errorf("login: %w", err)
	}
	return nil
}

// exec runs the command with the tokens in its environment and on its standard input.
func (l loginCmd) exec(token *devicelogin.Token, text []byte) error {
	cmd := exec.Command("/bin/sh", "-c", l.Exec)
	cmd.Env = append(os.Environ(), "LOGINHUB_ID_TOKEN="+token.IDToken, "LOGINHUB_ACCESS_TOKEN="+token.AccessToken)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(text), os.Stdout, os.Stderr
	err := cmd.Run()
	var ended *exec.ExitError
	if errors.As(err, &ended) && ended.ExitCode() > 0 {
		return &exitError{ended.ExitCode(), fmt.Errorf("--exec: %w", err)}
	}
	if err != nil {
		return fmt.Errorf("--exec: %w", err)
	}
	return nil
}

// exitError is an error with an exit code of its own.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }

func (e *exitError) Unwrap() error { return e.err }
