package main

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"syscall"
)

// isListenAddress reports whether the text is an address to listen on: HOST:PORT or :PORT.
func isListenAddress(text string) bool {
	_, port, err := net.SplitHostPort(text)
	if err != nil || port == "" {
		return false
	}
	_, err = net.LookupPort("tcp", port) // a number, or a name in /etc/services
	return err == nil
}

// isLoopbackListen reports whether only this machine reaches the address. It resolves no
// names, except localhost.
func isLoopbackListen(text string) bool {
	host, _, err := net.SplitHostPort(text)
	ip := net.ParseIP(host)
	return err == nil && (strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback())
}

// listenHint says what to write instead of the text.
func listenHint(text string) string {
	example := ":8080"
	if _, err := strconv.ParseUint(text, 10, 16); err == nil {
		example = ":" + text
	}
	return fmt.Sprintf("%.64q is not an address to listen on; write HOST:PORT or :PORT, for example %s", text, example)
}

// listenError returns the error of listening on a setting's address. An unknown host
// is a usageError. An address in use is not, because it may be free at the next
// start.
func listenError(setting string, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%s: %w; another program uses the port: stop it, or set another port", setting, err)
	}
	err = fmt.Errorf("%s: %w", setting, err)
	var name *net.DNSError
	if errors.As(err, &name) && name.IsNotFound {
		return &usageError{err}
	}
	return err
}
