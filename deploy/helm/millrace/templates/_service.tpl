{{/*
One service: its objects are the same for all four, and what differs comes as arguments:
root, name, grpcPort, metricsPort, restPort (where there is one), environment (a list of name and value), files (whether the deployments are mounted),
callers (the services of this release that call it).
*/}}
{{- define "millrace.fullName" -}}
{{ printf "%s-%s" .root.Release.Name .name | trunc 52 | trimSuffix "-" }}
{{- end }}

{{- define "millrace.selector" -}}
app.kubernetes.io/name: {{ .name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end }}

{{- define "millrace.labels" -}}
{{ include "millrace.selector" . }}
app.kubernetes.io/part-of: millrace
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "millrace.service" -}}
{{- $values := index .root.Values.services .name -}}
{{- $fullName := include "millrace.fullName" . -}}
{{- $persistence := $values.persistence | default dict -}}
{{- $autoscaling := $values.autoscaling | default dict -}}
{{- if and $persistence.enabled $autoscaling.enabled }}
{{- fail (printf "services.%s: autoscaling is on, and a service with a volume of its own must stay at one pod. Name a store by URL and set persistence.enabled to false." .name) }}
{{- end }}
{{- if and $persistence.enabled (gt (int $values.replicas) 1) }}
{{- fail (printf "services.%s: replicas is %v, and a service with a volume of its own must have 1. Name a store by URL and set persistence.enabled to false, or set replicas to 1." .name $values.replicas) }}
{{- end }}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ $fullName }}
  labels: {{- include "millrace.labels" . | nindent 4 }}
spec:
  {{- if not $autoscaling.enabled }}
  replicas: {{ $values.replicas }}
  {{- end }}
  minReadySeconds: 5
  strategy:
    {{- if $persistence.enabled }}
    # Two pods cannot hold one volume.
    type: Recreate
    {{- else }}
    type: RollingUpdate
    rollingUpdate: { maxUnavailable: 0, maxSurge: 1 }
    {{- end }}
  selector:
    matchLabels: {{- include "millrace.selector" . | nindent 6 }}
  template:
    metadata:
      labels: {{- include "millrace.labels" . | nindent 8 }}
    spec:
      automountServiceAccountToken: false
      # Kubernetes would add variables such as MILLRACE_TRAINING_PORT, which a service refuses as unknown settings.
      enableServiceLinks: false
      # Longer than the drain: 5 s until load balancers know, 20 s for open calls.
      terminationGracePeriodSeconds: 40
      securityContext:
        runAsNonRoot: true
        runAsUser: 1000
        runAsGroup: 1000
        fsGroup: 1000
        seccompProfile: { type: RuntimeDefault }
      {{- with .root.Values.image.pullSecrets }}
      imagePullSecrets:
        {{- range . }}
        - name: {{ . }}
        {{- end }}
      {{- end }}
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels: {{- include "millrace.selector" . | nindent 14 }}
      containers:
        - name: {{ .name }}
          image: {{ printf "%s/%s:%s" .root.Values.image.prefix .name (.root.Values.image.tag | default .root.Chart.AppVersion) | quote }}
          imagePullPolicy: {{ .root.Values.image.pullPolicy | default "IfNotPresent" }}
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities: { drop: ["ALL"] }
          ports:
            - { name: grpc, containerPort: {{ .grpcPort }} }
            - { name: http-metrics, containerPort: {{ .metricsPort }} }
            {{- with .restPort }}
            - { name: http-rest, containerPort: {{ . }} }
            {{- end }}
          env:
            {{- $environment := dict "MILLRACE_GRPC_HOST" "0.0.0.0" "MILLRACE_ALLOW_PLAINTEXT" "true" }}
            {{- $environment = mergeOverwrite $environment .environment (.root.Values.environment | default dict) ($values.environment | default dict) }}
            {{- range $name := keys $environment | sortAlpha }}
            - { name: {{ $name }}, value: {{ get $environment $name | quote }} }
            {{- end }}
            {{- if .root.Values.registryCredentialsSecret }}
            - { name: DOCKER_CONFIG, value: /docker }
            {{- end }}
          # A model may take a while to load; only then do the other probes begin.
          startupProbe:
            grpc: { port: {{ .grpcPort }} }
            periodSeconds: 5
            failureThreshold: 60
          readinessProbe:
            grpc: { port: {{ .grpcPort }} }
            periodSeconds: 5
            timeoutSeconds: 3
          # Whether the event loop still turns: never whether a store answers, for a restart mends no store.
          livenessProbe:
            httpGet: { path: /healthz, port: http-metrics }
            periodSeconds: 10
            timeoutSeconds: 5
            failureThreshold: 6
          {{- with $values.resources }}
          resources: {{- toYaml . | nindent 12 }}
          {{- end }}
          volumeMounts:
            - { name: data, mountPath: /data }
            - { name: tmp, mountPath: /tmp }
            {{- if .files }}
            # The folder, not the file: a mounted file would stay the old one.
            - { name: deployments, mountPath: /deployments, readOnly: true }
            {{- end }}
            {{- if .root.Values.registryCredentialsSecret }}
            - { name: docker, mountPath: /docker, readOnly: true }
            {{- end }}
            {{- range $index, $secret := $values.secrets }}
            # The folder, not a file: a secret that changes is seen.
            - { name: secret-{{ $index }}, mountPath: {{ $secret.mountPath }}, readOnly: true }
            {{- end }}
      volumes:
        - name: data
          {{- if $persistence.enabled }}
          persistentVolumeClaim: { claimName: {{ $fullName }} }
          {{- else }}
          emptyDir: {}
          {{- end }}
        - name: tmp
          emptyDir: { sizeLimit: {{ $values.temporarySpace | default "1Gi" }} }
        {{- if .files }}
        - name: deployments
          configMap: { name: {{ $fullName }}-deployments }
        {{- end }}
        {{- with .root.Values.registryCredentialsSecret }}
        - name: docker
          secret:
            secretName: {{ . }}
            items: [{ key: .dockerconfigjson, path: config.json }]
        {{- end }}
        {{- range $index, $secret := $values.secrets }}
        - name: secret-{{ $index }}
          secret: { secretName: {{ $secret.secret }}, defaultMode: 0440 }
        {{- end }}
---
apiVersion: v1
kind: Service
metadata:
  name: {{ $fullName }}
  labels: {{- include "millrace.labels" . | nindent 4 }}
spec:
  selector: {{- include "millrace.selector" . | nindent 4 }}
  ports:
    - { name: grpc, port: {{ .grpcPort }}, targetPort: grpc, appProtocol: kubernetes.io/h2c }
    - { name: http-metrics, port: {{ .metricsPort }}, targetPort: http-metrics }
    {{- with .restPort }}
    - { name: http-rest, port: {{ . }}, targetPort: http-rest }
    {{- end }}
---
# gRPC keeps one connection for many calls: clients that spread calls over the pods need all their addresses.
apiVersion: v1
kind: Service
metadata:
  name: {{ $fullName }}-headless
  labels: {{- include "millrace.labels" . | nindent 4 }}
spec:
  clusterIP: None
  selector: {{- include "millrace.selector" . | nindent 4 }}
  ports:
    - { name: grpc, port: {{ .grpcPort }}, targetPort: grpc, appProtocol: kubernetes.io/h2c }
{{- if $persistence.enabled }}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: {{ $fullName }}
  labels: {{- include "millrace.labels" . | nindent 4 }}
spec:
  accessModes: [ReadWriteOnce]
  {{- with $persistence.storageClass }}
  storageClassName: {{ . }}
  {{- end }}
  resources:
    requests:
      storage: {{ $persistence.size | default "5Gi" }}
{{- end }}
{{- if $autoscaling.enabled }}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {{ $fullName }}
  labels: {{- include "millrace.labels" . | nindent 4 }}
spec:
  scaleTargetRef: { apiVersion: apps/v1, kind: Deployment, name: {{ $fullName }} }
  minReplicas: {{ $autoscaling.minReplicas | default 2 }}
  maxReplicas: {{ $autoscaling.maxReplicas | default 10 }}
  metrics:
    # Answering calls and running models is processor time, and one process answers on one core.
    - type: Resource
      resource:
        name: cpu
        target: { type: Utilization, averageUtilization: {{ $autoscaling.cpuUtilization | default 70 }} }
    {{- with $autoscaling.metrics }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  behavior:
    # Clients keep their connections: pods that go away again within minutes cost more than they save.
    scaleDown:
      stabilizationWindowSeconds: 300
      policies: [{ type: Pods, value: 1, periodSeconds: 60 }]
{{- end }}
{{- if .root.Values.networkPolicy.enabled }}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ $fullName }}
  labels: {{- include "millrace.labels" . | nindent 4 }}
spec:
  podSelector:
    matchLabels: {{- include "millrace.selector" . | nindent 6 }}
  policyTypes: [Ingress]
  # A rule without anyone in it would let everyone in: it is left out then.
  ingress:
    {{- if or .callers .root.Values.networkPolicy.callers }}
    - ports:
        - { port: grpc }
        {{- if .restPort }}
        - { port: http-rest }
        {{- end }}
      from:
        {{- $root := .root }}
        {{- range .callers }}
        - podSelector:
            matchLabels: {{- include "millrace.selector" (dict "root" $root "name" .) | nindent 14 }}
        {{- end }}
        {{- with .root.Values.networkPolicy.callers }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    {{- end }}
    {{- with .root.Values.networkPolicy.metricsFrom }}
    - ports: [{ port: http-metrics }]
      from: {{- toYaml . | nindent 8 }}
    {{- end }}
    {{- if not (or .callers .root.Values.networkPolicy.callers .root.Values.networkPolicy.metricsFrom) }}
    []
    {{- end }}
{{- end }}
{{- if gt (ternary ($autoscaling.minReplicas | default 2) $values.replicas ($autoscaling.enabled | default false) | int) 1 }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ $fullName }}
  labels: {{- include "millrace.labels" . | nindent 4 }}
spec:
  minAvailable: 1
  selector:
    matchLabels: {{- include "millrace.selector" . | nindent 6 }}
{{- end }}
{{- end }}

{{/* The gRPC address of another service; empty where it is switched off. */}}
{{- define "millrace.address" -}}
{{- if (index .root.Values.services .name).enabled -}}
dns:///{{ include "millrace.fullName" . }}-headless:{{ .port }}
{{- end -}}
{{- end }}
