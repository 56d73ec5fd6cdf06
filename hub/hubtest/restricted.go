package hubtest

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
)

// StartRestrictedRedis starts a proxy to the server that refuses commands like a managed
// Redis. refuse returns the error's text, or "" to pass the command. It returns the
// proxy's URL. The proxy ends with the test.
func StartRestrictedRedis(t testing.TB, to *Redis, refuse func(command []string) string) (url string) {
	t.Helper()
	return to.URLVia(startProxy(t, to.Addr, refuse).listen.Addr().String())
}

// passCommands forwards a client's commands. It replaces a refused one by a script that
// returns the error, so that replies stay in order.
func passCommands(from io.Reader, to io.Writer, refuse func([]string) string) {
	in := bufio.NewReader(from)
	for {
		command, err := readCommand(in)
		if err != nil {
			return
		}
		if text := refuse(command); text != "" {
			command = []string{"EVAL", "return redis.error_reply(ARGV[1])", "0", text}
		}
		var out strings.Builder
		fmt.Fprintf(&out, "*%d\r\n", len(command))
		for _, word := range command {
			fmt.Fprintf(&out, "$%d\r\n%s\r\n", len(word), word)
		}
		if _, err := io.WriteString(to, out.String()); err != nil {
			return
		}
	}
}

// readCommand reads a RESP array of bulk strings.
func readCommand(in *bufio.Reader) ([]string, error) {
	n, err := readLength(in, '*')
	if err != nil {
		return nil, err
	}
	command := make([]string, n)
	for i := range command {
		length, err := readLength(in, '$')
		if err != nil {
			return nil, err
		}
		word := make([]byte, length+2)
		if _, err := io.ReadFull(in, word); err != nil {
			return nil, err
		}
		command[i] = string(word[:length])
	}
	return command, nil
}

func readLength(in *bufio.Reader, kind byte) (int, error) {
	line, err := in.ReadString('\n')
	if err != nil {
		return 0, err
	}
	if line[0] != kind {
		return 0, fmt.Errorf("%q is no RESP %c", line, kind)
	}
	return strconv.Atoi(strings.TrimSpace(line[1:]))
}
