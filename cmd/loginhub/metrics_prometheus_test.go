package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

// prometheus is a server for one test.
type prometheus struct{ url string }

// startPrometheus starts a server with deploy's configuration and alerts that scrapes the nodes.
// native enables native histograms. every is the scrape and evaluation interval, "" for deploy's.
func startPrometheus(t *testing.T, native bool, every string, nodes ...*hubtest.Node) *prometheus {
	t.Helper()
	dir, port := t.TempDir(), hubtest.FreePort(t)
	alerts, err := filepath.Abs(deploy + "prometheus/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	config := strings.Replace(readFile(t, deploy+"prometheus/prometheus.yml"), "  - alerts.yaml", "  - "+alerts, 1)
	var targets []string
	for _, node := range nodes {
		targets = append(targets, strings.TrimPrefix(node.Admin, "http://"))
	}
	config = regexp.MustCompile(`targets: \[.*\]`).ReplaceAllString(config, "targets: ["+strings.Join(targets, ", ")+"]")
	if every != "" {
		config = regexp.MustCompile(`(?m)^  (\w+_(?:interval|timeout)): .*$`).ReplaceAllString(config, "  $1: "+every)
	}
	if err := os.WriteFile(dir+"/prometheus.yml", []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"--config.file=" + dir + "/prometheus.yml", "--storage.tsdb.path=" + dir + "/data", "--web.listen-address=127.0.0.1:" + port}
	if native {
		args = append(args, "--enable-feature=native-histograms")
	}
	var log bytes.Buffer
	cmd := exec.Command("prometheus", args...)
	cmd.Stderr, cmd.Stdout = &log, &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended already
		_ = cmd.Wait()         // killed
		if t.Failed() {
			t.Logf("prometheus:\n%s", log.String())
		}
	})
	p := &prometheus{"http://127.0.0.1:" + port}
	hubtest.Eventually(t, 30*time.Second, "Prometheus has scraped the nodes twice", func() bool {
		v, err := p.query(`count_over_time(up{job="loginhub"}[1m]) * up`)
		return err == nil && len(v) == len(nodes) && slices.Min(v) >= 2
	})
	return p
}

// get calls Prometheus's HTTP API; an answer without success is an error.
func (p *prometheus) get(path string, data any) error {
	r, err := http.Get(p.url + path)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	var answer struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.Unmarshal(text, &answer); err != nil || answer.Status != "success" {
		return fmt.Errorf("%s: %s %s %w", path, answer.Status, answer.Error, err)
	}
	return json.Unmarshal(answer.Data, data)
}

// query returns the current values of an expression.
func (p *prometheus) query(expression string) (values []float64, err error) {
	var data struct {
		Result []struct{ Value [2]any }
	}
	if err := p.get("/api/v1/query?query="+url.QueryEscape(expression), &data); err != nil {
		return nil, err
	}
	for _, r := range data.Result {
		text, ok := r.Value[1].(string)
		if !ok {
			return nil, fmt.Errorf("%s: invalid value %v", expression, r.Value)
		}
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	return values, nil
}

func TestMetrics_Prometheus(t *testing.T) {
	t.Parallel()
	node, _, login := startBusyNode(t, hubtest.Context(t, 120*time.Second))
	servers := map[string]*prometheus{"native": startPrometheus(t, true, "1s", node), "classic": startPrometheus(t, false, "1s", node)}
	for range 3 {
		login()
	}
	push := "loginhub_confirm_to_push_seconds"
	p99 := map[string]string{
		"native":  `histogram_quantile(0.99, sum(rate(` + push + `[1m])))`,
		"classic": `histogram_quantile(0.99, sum by (le) (rate(` + push + `_bucket[1m])))`,
	}
	for name, p := range servers {
		t.Run(name, func(t *testing.T) {
			hubtest.Eventually(t, 30*time.Second, "the p99 of pushes", func() bool {
				v, err := p.query(p99[name])
				return err == nil && len(v) == 1 && v[0] > 0 && v[0] < 10 && !math.IsNaN(v[0])
			})
			v, err := p.query("loginhub_mailbox_probe_age_seconds")
			if err != nil || len(v) != 1 || v[0] <= 0 || v[0] > 10 {
				t.Errorf("the probe's age is %v %v", v, err)
			}
			var pushes []float64
			hubtest.Eventually(t, 30*time.Second, "all four pushes are scraped", func() bool {
				pushes, err = p.query(`sum(` + push + `_count or histogram_count(` + push + `))`)
				return err == nil && len(pushes) == 1 && pushes[0] >= 4
			})
			if len(pushes) == 1 && pushes[0] != 4 {
				t.Errorf("%v pushes, wanted 4", pushes)
			}
			checkAlerts(t, p)
		})
	}
}

func TestAlerts_HangingNode(t *testing.T) {
	t.Parallel()
	node := startMetered(t)
	p := startPrometheus(t, false, "1s", node)
	if err := node.Stall(); err != nil {
		t.Fatal(err)
	}
	hubtest.Eventually(t, 30*time.Second, "LoginhubNodeHangs fires", func() bool {
		v, err := p.query(`ALERTS{alertname="LoginhubNodeHangs",alertstate="firing"}`)
		return err == nil && len(v) == 1
	})
}

// checkAlerts demands that every rule is evaluated without an error. Only the alert for a single
// node may fire on a healthy node.
func checkAlerts(t *testing.T, p *prometheus) {
	t.Helper()
	hubtest.Eventually(t, 30*time.Second, "all rules are evaluated", func() bool {
		var data struct {
			Groups []struct {
				Rules []struct{ Name, Health, State, LastError string }
			}
		}
		if err := p.get("/api/v1/rules", &data); err != nil {
			t.Fatal(err)
		}
		good, all := 0, 0
		for _, g := range data.Groups {
			for _, r := range g.Rules {
				all++
				alone := r.Name == "LoginhubTooFewReady"
				if r.Health == "err" || r.State == "firing" && !alone || r.State == "inactive" && r.Health == "ok" && alone {
					t.Fatalf("%s: %s, %s %s", r.Name, r.Health, r.State, r.LastError)
				}
				if r.Health == "ok" {
					good++
				}
			}
		}
		return good == all && all > 0
	})
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
