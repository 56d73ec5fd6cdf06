{{- define "loginhub.name" -}}
{{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "loginhub.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- $full := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) }}
{{- default $full .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- end }}

{{- define "loginhub.selectorLabels" -}}
app.kubernetes.io/name: {{ include "loginhub.name" . }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "loginhub.labels" -}}
{{ include "loginhub.selectorLabels" . }}
app.kubernetes.io/version: {{ default .Chart.AppVersion .Values.image.tag | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* The name, namespace and labels of an object. Wrong values end here. */}}
{{- define "loginhub.metadata" -}}
{{- include "loginhub.validate" . -}}
name: {{ include "loginhub.fullname" . }}
namespace: {{ .Release.Namespace }}
labels:
  {{- include "loginhub.labels" . | nindent 2 }}
{{- end }}

{{- define "loginhub.serviceAccount" -}}
{{- $own := .Values.serviceAccount.create | ternary (include "loginhub.fullname" .) "default" }}
{{- default $own .Values.serviceAccount.name }}
{{- end }}

{{- define "loginhub.image" -}}
{{ .Values.image.repository }}{{ with .Values.image.digest }}@{{ . }}{{ else }}:{{ default .Chart.AppVersion .Values.image.tag }}{{ end }}
{{- end }}

{{- /* The settings file. The sandbox has no token, so its admin address is the loopback. */}}
{{- define "loginhub.config" -}}
{{- $fixed := dict "admin_listen" ":9090" }}
{{- if .Values.sandbox }}
{{- $fixed = dict "admin_listen" "127.0.0.1:9090" "sandbox" true "redis_url" "embedded" }}
{{- if not .Values.config.public_url }}{{ $_ := set $fixed "public_url" "http://localhost:8080" }}{{ end }}
{{- end }}
{{- toYaml (merge $fixed .Values.config) }}
{{- end }}

{{- define "loginhub.host" -}}
{{ (urlParse .Values.config.public_url).hostname }}
{{- end }}

{{- /* 90 % of the memory limit: Go collects more garbage before the kernel kills it. */}}
{{- define "loginhub.goMemLimit" -}}
{{- $limit := .Values.resources.limits.memory }}
{{- $mib := regexFind "^[0-9]+" $limit | int | mul (hasSuffix "Gi" $limit | ternary 1024 1) }}
{{- div (mul $mib 9) 10 }}MiB
{{- end }}

{{- /* What would only show itself in a pod that does not start or does not work. */}}
{{- define "loginhub.validate" -}}
{{- if not .Values.sandbox }}
{{- if not .Values.config.public_url }}
{{- fail "config.public_url is empty: set it to the https address that browsers and phones use, or try the sandbox with --set sandbox=true" }}
{{- end }}
{{- if not .Values.secret.name }}
{{- fail (printf "secret.name is empty: make a Secret with the files %s (README.md has the command) and set secret.name to its name, or try the sandbox with --set sandbox=true" (values .Values.secret.files | compact | sortAlpha | join ", ")) }}
{{- end }}
{{- if and (or .Values.ingress.enabled .Values.gateway.enabled) (not .Values.config.trusted_proxies) }}
{{- fail "config.trusted_proxies is empty: set it to the addresses of your ingress controller's or gateway's pods, or every visitor has the proxy's address and its limits" }}
{{- end }}
{{- if and .Values.gateway.enabled (not .Values.gateway.parentRefs) }}
{{- fail "gateway.parentRefs is empty: name the Gateway, for example --set gateway.parentRefs[0].name=public" }}
{{- end }}
{{- end }}
{{- end }}
