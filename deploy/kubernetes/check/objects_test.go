package check

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// manifests are the objects of one folder or of the chart, by kind; one of each kind,
// except ConfigMaps.
type manifests struct {
	Namespace               corev1.Namespace
	ServiceAccount          corev1.ServiceAccount
	Deployment              appsv1.Deployment
	Service                 corev1.Service
	Ingress                 networkingv1.Ingress
	HTTPRoute               gatewayv1.HTTPRoute
	NetworkPolicy           networkingv1.NetworkPolicy
	PodDisruptionBudget     policyv1.PodDisruptionBudget
	HorizontalPodAutoscaler autoscalingv2.HorizontalPodAutoscaler
	PodMonitor              monitoringv1.PodMonitor
	PrometheusRule          monitoringv1.PrometheusRule
	configs                 map[string]corev1.ConfigMap
	kinds                   []string // sorted
}

// folders are those that can be applied.
var folders = []string{"../base", "../overlays/production"}

// render builds the folder as `kubectl kustomize` does.
func render(t *testing.T, folder string) *manifests {
	t.Helper()
	objects, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), folder)
	if err != nil {
		t.Fatal(err)
	}
	var texts [][]byte
	for _, o := range objects.Resources() {
		text, err := o.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, text)
	}
	m := decode(t, folder, texts)
	if len(m.kinds) != 10 { // two ConfigMaps
		t.Fatalf("%s: renders %v", folder, m.kinds)
	}
	return m
}

// decode decodes each object into its type. A field that the type does not have is an
// error.
func decode(t *testing.T, from string, texts [][]byte) *manifests {
	t.Helper()
	m := &manifests{configs: map[string]corev1.ConfigMap{}}
	for _, text := range texts {
		var o metav1.PartialObjectMetadata
		if err := yaml.Unmarshal(text, &o); err != nil {
			t.Fatalf("%s: %v\n%s", from, err, text)
		}
		var config corev1.ConfigMap
		into := map[string]any{
			"v1 Namespace": &m.Namespace, "v1 ServiceAccount": &m.ServiceAccount, "v1 Service": &m.Service, "v1 ConfigMap": &config, "apps/v1 Deployment": &m.Deployment,
			"networking.k8s.io/v1 Ingress": &m.Ingress, "networking.k8s.io/v1 NetworkPolicy": &m.NetworkPolicy, "gateway.networking.k8s.io/v1 HTTPRoute": &m.HTTPRoute,
			"policy/v1 PodDisruptionBudget": &m.PodDisruptionBudget, "autoscaling/v2 HorizontalPodAutoscaler": &m.HorizontalPodAutoscaler,
			"monitoring.coreos.com/v1 PodMonitor": &m.PodMonitor, "monitoring.coreos.com/v1 PrometheusRule": &m.PrometheusRule,
		}[o.APIVersion+" "+o.Kind]
		if into == nil {
			t.Fatalf("%s: a %s %s that no test checks:\n%s", from, o.APIVersion, o.Kind, text)
		}
		if err := yaml.UnmarshalStrict(text, into); err != nil {
			t.Errorf("%s: %s %s: %v", from, o.Kind, o.Name, err)
		}
		if o.Kind == "ConfigMap" {
			m.configs[config.Name] = config
		} else if slices.Contains(m.kinds, o.Kind) {
			t.Errorf("%s: two of %s", from, o.Kind)
		}
		if o.Kind != "Namespace" && o.Namespace != "loginhub" {
			t.Errorf("%s: %s %s is in namespace %q", from, o.Kind, o.Name, o.Namespace)
		}
		m.kinds = append(m.kinds, o.Kind)
	}
	slices.Sort(m.kinds)
	return m
}

// settings are the variables of the hub's container, those of its ConfigMaps, and the
// keys of a settings file as the variables that they are.
func (m *manifests) settings(t *testing.T) map[string]string {
	t.Helper()
	settings := map[string]string{}
	c := m.Deployment.Spec.Template.Spec.Containers[0]
	for _, from := range c.EnvFrom {
		config, ok := m.configs[from.ConfigMapRef.Name]
		if !ok {
			t.Errorf("no ConfigMap %s", from.ConfigMapRef.Name)
		}
		for name, value := range config.Data {
			settings[name] = value
		}
	}
	for _, e := range c.Env {
		settings[e.Name] = e.Value
	}
	for key, value := range m.file(t, "loginhub.yaml") {
		if list, is := value.([]any); is && key != "clients" {
			value = strings.Trim(strings.Join(strings.Fields(fmt.Sprint(list...)), ","), "[]")
		}
		settings["LOGINHUB_"+strings.ToUpper(key)] = fmt.Sprint(value)
	}
	return settings
}

// file is the YAML of a ConfigMap's file; empty if there is none.
func (m *manifests) file(t *testing.T, name string) (values map[string]any) {
	t.Helper()
	for _, config := range m.configs {
		if err := yaml.Unmarshal([]byte(config.Data[name]), &values); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if values != nil {
			break
		}
	}
	return values
}
