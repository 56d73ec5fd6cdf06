package main_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"loginhub/hub/hubtest"
)

const deploy = "../../deploy/"

// documentedMetrics reads the rows of deploy/METRICS.md: name to type and labels.
func documentedMetrics(t *testing.T) map[string][2]string {
	t.Helper()
	text, err := os.ReadFile(deploy + "METRICS.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string][2]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(loginhub_\\w+)` \\| (\\w+) \\| (.*?) ?\\| .+ \\|$").FindAllStringSubmatch(string(text), -1) {
		if _, twice := rows[m[1]]; twice {
			t.Errorf("%s is documented twice", m[1])
		}
		rows[m[1]] = [2]string{m[2], m[3]}
	}
	if len(rows) < 20 {
		t.Fatalf("only %d rows found: the pattern is wrong", len(rows))
	}
	return rows
}

// metricFamily is one metric of a scrape.
type metricFamily struct {
	kind   string
	help   bool
	labels []string // of its samples, sorted, without le
}

// families parses the text format (Prometheus exposition format 0.0.4).
func families(text string) map[string]*metricFamily {
	all := map[string]*metricFamily{}
	at := func(name string) *metricFamily {
		if all[name] == nil {
			all[name] = &metricFamily{}
		}
		return all[name]
	}
	label := regexp.MustCompile(`[{,](\w+)="`)
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		switch {
		case strings.HasPrefix(line, "# HELP "):
			at(words[2]).help = len(words) > 3
		case strings.HasPrefix(line, "# TYPE "):
			at(words[2]).kind = words[3]
		default:
			name, _, _ := strings.Cut(words[0], "{")
			for _, end := range []string{"_bucket", "_sum", "_count"} {
				if base, cut := strings.CutSuffix(name, end); cut && all[base] != nil {
					name = base
				}
			}
			for _, m := range label.FindAllStringSubmatch(line, -1) {
				if f := at(name); m[1] != "le" && !slices.Contains(f.labels, m[1]) {
					f.labels = append(f.labels, m[1])
				}
			}
		}
	}
	for _, f := range all {
		slices.Sort(f.labels)
	}
	return all
}

// metricNames returns the metrics that PromQL expressions use, without a histogram's suffixes.
func metricNames(expressions ...string) (names []string) {
	for _, e := range expressions {
		e = regexp.MustCompile(`\binstance:\w+|go_version`).ReplaceAllString(e, "") // recorded by a rule; a label
		for _, name := range regexp.MustCompile(`\b(?:loginhub|go|process)_\w+`).FindAllString(e, -1) {
			for _, end := range []string{"_bucket", "_sum", "_count"} {
				name = strings.TrimSuffix(name, end)
			}
			names = append(names, name)
		}
	}
	return names
}

// alertExpressions returns the expressions of alerts.yaml.
func alertExpressions(t *testing.T) (expressions []string) {
	t.Helper()
	text, err := os.ReadFile(deploy + "prometheus/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Rules []struct {
				Alert, Record, Expr string
				Annotations         map[string]string
			}
		}
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	book := readFile(t, deploy+"RUNBOOK.md")
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			expressions = append(expressions, r.Expr)
			if r.Record != "" {
				continue
			}
			if want := "deploy/RUNBOOK.md#" + strings.ToLower(r.Alert); r.Annotations["runbook"] != want {
				t.Errorf("%s: runbook %q, not %q", r.Alert, r.Annotations["runbook"], want)
			}
			if !strings.Contains(book, "\n### "+r.Alert+"\n") {
				t.Errorf("the runbook has no section for %s", r.Alert)
			}
			if r.Annotations["summary"] == "" || len(r.Annotations["description"]) < 50 {
				t.Errorf("%s has no summary or description: %v", r.Alert, r.Annotations)
			}
		}
	}
	if len(expressions) == 0 {
		t.Error("no alert found in alerts.yaml")
	}
	return expressions
}

// dashboardPanel has the fields of a panel that the tests check.
type dashboardPanel struct {
	ID          int
	Type, Title string
	Description string
	FieldConfig struct{ Defaults struct{ Unit string } }
	GridPos     struct{ H, W, X, Y int }
	Links       []struct{ URL string }
	Targets     []struct{ Expr, RefID, LegendFormat string }
}

// dashboard reads Grafana's dashboard.
func dashboard(t *testing.T) (panels []dashboardPanel) {
	t.Helper()
	text, err := os.ReadFile(deploy + "grafana/loginhub.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Title, UID    string
		SchemaVersion int
		Panels        []dashboardPanel
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	if board.Title == "" || board.UID == "" || board.SchemaVersion < 42 || len(board.Panels) < 20 {
		t.Errorf("dashboard %q, %d panels", board.Title, len(board.Panels))
	}
	ids, titles, book := map[int]bool{}, map[string]bool{}, strings.ToLower(readFile(t, deploy+"RUNBOOK.md"))
	for _, p := range board.Panels {
		g := p.GridPos
		if p.Title == "" || ids[p.ID] || titles[p.Title] || g.W < 1 || g.X+g.W > 24 || g.H < 1 {
			t.Errorf("panel %d %q: no title, a duplicate, or outside the grid: %+v", p.ID, p.Title, g)
		}
		ids[p.ID], titles[p.Title] = true, true
		if p.Type != "row" && (p.FieldConfig.Defaults.Unit == "" || p.Description == "" || len(p.Targets) == 0) {
			t.Errorf("panel %q has no unit, no description or no query", p.Title)
		}
		for _, target := range p.Targets {
			if target.LegendFormat == "" {
				t.Errorf("panel %q: %s has no legend", p.Title, target.Expr)
			}
		}
		for _, link := range p.Links {
			if anchor := strings.TrimPrefix(link.URL, "${runbook}#"); !strings.Contains(book, "\n### "+anchor+"\n") {
				t.Errorf("panel %q: no section %s", p.Title, link.URL)
			}
		}
	}
	return board.Panels
}

func TestMetrics_Documented(t *testing.T) {
	t.Parallel()
	node, hidden, _ := startBusyNode(t, hubtest.Context(t, 60*time.Second))
	text, _, err := node.Scrape()
	if err != nil {
		t.Fatal(err)
	}
	hidden.findIn(t, "the metrics", text)
	if strings.Contains(text, "127.0.0.1") || strings.Contains(text, hubtest.OtherKey) {
		t.Error("the metrics contain an address")
	}
	live, rows := families(text), documentedMetrics(t)
	live[certificateMetric] = families(scrapeOwnCertificate(t))[certificateMetric]
	for name, f := range live {
		if _, ok := rows[name]; !ok && strings.HasPrefix(name, "loginhub_") {
			t.Errorf("%s is not in deploy/METRICS.md", name)
		}
		if !f.help || f.kind == "" {
			t.Errorf("%s has no help or type", name)
		}
	}
	for name, row := range rows {
		f := live[name]
		if f == nil {
			t.Errorf("%s is documented but does not exist", name)
			continue
		}
		labels := regexp.MustCompile(`\w+`).FindAllString(row[1], -1)
		slices.Sort(labels)
		if f.kind != row[0] || !slices.Equal(f.labels, labels) {
			t.Errorf("%s is documented as a %s with %v, but is a %s with %v", name, row[0], labels, f.kind, f.labels)
		}
	}
	expressions := alertExpressions(t)
	for _, p := range dashboard(t) {
		for _, target := range p.Targets {
			expressions = append(expressions, target.Expr)
		}
	}
	for _, name := range metricNames(expressions...) {
		if live[name] == nil {
			t.Errorf("an alert or the dashboard uses %s, which does not exist", name)
		}
	}
	named := 0
	guides, err := filepath.Glob(deploy + "*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, guide := range guides {
		for _, m := range regexp.MustCompile("`((?:loginhub|go|process)_\\w+)").FindAllStringSubmatch(readFile(t, guide), -1) {
			for _, name := range metricNames(m[1]) {
				if named++; live[name] == nil {
					t.Errorf("%s names %s, which does not exist", guide, name)
				}
			}
		}
	}
	if named < 30 {
		t.Errorf("only %d names in the documents: the pattern is wrong", named)
	}
	// promtool checks names, units and suffixes.
	lint := exec.Command("promtool", "check", "metrics")
	lint.Stdin = strings.NewReader(text)
	if out, err := lint.CombinedOutput(); err != nil || len(bytes.TrimSpace(out)) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}

func TestAlerts_Rules(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"check", "rules", "alerts.yaml"}, {"check", "config", "prometheus.yml"}, {"test", "rules", "alerts_test.yaml"}} {
		cmd := exec.Command("promtool", args...)
		cmd.Dir = deploy + "prometheus"
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "SUCCESS") {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
	cases, err := os.ReadFile(deploy + "prometheus/alerts_test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(deploy + "prometheus/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	type outcome struct {
		Alertname string
		ExpAlerts []any `yaml:"exp_alerts"`
	}
	var file struct {
		Tests []struct {
			Outcomes []outcome `yaml:"alert_rule_test"`
		}
	}
	if err := yaml.Unmarshal(cases, &file); err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(string(text), -1) {
		fires, rests := false, false
		for _, one := range file.Tests {
			for _, o := range one.Outcomes {
				if o.Alertname == m[1] {
					fires, rests = fires || len(o.ExpAlerts) > 0, rests || len(o.ExpAlerts) == 0
				}
			}
		}
		if !fires || !rests {
			t.Errorf("%s: has a case that fires: %v, has one that does not: %v", m[1], fires, rests)
		}
	}
}
