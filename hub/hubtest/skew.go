package hubtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// SkewVariable is the environment variable with the error of the wall clock, in seconds,
// for a program from BuildSkewed.
const SkewVariable = "HUBTEST_CLOCK_SKEW"

// skewed is the code that BuildSkewed adds to package time. The monotonic clock is not
// changed.
const skewed = `
var hubtestSkew = func() (seconds int64) {
	text, _ := syscall.Getenv("` + SkewVariable + `")
	sign := int64(1)
	for _, c := range text {
		if c == '-' {
			sign = -1
		} else {
			seconds = 10*seconds + int64(c-'0')
		}
	}
	return sign * seconds
}()
`

// BuildSkewed builds the program with a standard library whose time.Now is wrong by
// SkewVariable (go build -overlay). remove deletes the program. The first build takes a
// minute, because everything depends on package time; later ones use Go's cache. It does
// not use the race detector, which would double that.
func BuildSkewed() (program string, remove func(), err error) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", nil, fmt.Errorf("go env: %w", err)
	}
	original := filepath.Join(strings.TrimSpace(string(root)), "src", "time", "time.go")
	text, err := os.ReadFile(original)
	if err != nil {
		return "", nil, err
	}
	edited, ok := addSkew(string(text))
	if !ok {
		return "", nil, errors.New("package time of this Go is another one than expected")
	}
	dir, err := os.MkdirTemp("", "loginhub-skewed-")
	if err != nil {
		return "", nil, err
	}
	remove = func() { os.RemoveAll(dir) }
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{original: filepath.Join(dir, "time.go")}})
	if err != nil {
		return "", remove, err
	}
	for name, content := range map[string]string{"time.go": edited, "overlay.json": string(overlay)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			return "", remove, err
		}
	}
	program = filepath.Join(dir, "loginhub")
	build := exec.Command("go", "build", "-ldflags", "-s -w", "-overlay", filepath.Join(dir, "overlay.json"), "-o", program, "loginhub/cmd/loginhub")
	if out, err := build.CombinedOutput(); err != nil {
		return "", remove, fmt.Errorf("go build -overlay: %w\n%s", err, out)
	}
	return program, remove, nil
}

// addSkew returns package time with the skew added; ok is false if the source is not as
// expected.
func addSkew(text string) (edited string, ok bool) {
	const imported, begins = "\t\"math/bits\"\n", "\nfunc Now() Time {\n\tsec, nsec, mono := runtimeNow()\n"
	if strings.Count(text, imported) != 1 || strings.Count(text, begins) != 1 {
		return "", false
	}
	text = strings.Replace(text, imported, imported+"\t\"syscall\"\n", 1)
	return strings.Replace(text, begins, begins+"\tsec += hubtestSkew\n", 1) + skewed, true
}

// Skewed returns the shell command that sets the skew for a program from BuildSkewed.
func Skewed(seconds int) string { return fmt.Sprintf("export %s=%d", SkewVariable, seconds) }
