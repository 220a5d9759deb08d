//! The GraphQL documents, with the names, variables and fields the server knows.

/// A document and what may be done when its answer is lost.
#[derive(Debug, Clone, Copy)]
pub(super) struct Operation {
    pub(super) name: &'static str,
    pub(super) document: &'static str,
    /// Sending it twice is sending it once. What is not is sent again only if it never
    /// left this host.
    pub(super) repeatable: bool,
}

const fn repeatable(name: &'static str, document: &'static str) -> Operation {
    Operation {
        name,
        document,
        repeatable: true,
    }
}

const fn once(name: &'static str, document: &'static str) -> Operation {
    Operation {
        name,
        document,
        repeatable: false,
    }
}

pub(super) const QUEUES: Operation = repeatable(
    "ProjectRunQueues",
    "query ProjectRunQueues($entity: String!, $projectName: String!) {
        project(entityName: $entity, name: $projectName) {
            runQueues { id name createdBy access }
        }
    }",
);

pub(super) const CREATE_QUEUE: Operation = once(
    "CreateRunQueue",
    "mutation CreateRunQueue($entity: String!, $project: String!, $queueName: String!,
            $access: RunQueueAccessType!) {
        createRunQueue(input: {entityName: $entity, projectName: $project,
                queueName: $queueName, access: $access}) {
            success queueID
        }
    }",
);

pub(super) const UPSERT_QUEUE: Operation = repeatable(
    "upsertRunQueue",
    "mutation upsertRunQueue($entityName: String!, $projectName: String!, $queueName: String!,
            $resourceType: String!, $resourceConfig: JSONString!, $templateVariables: JSONString,
            $prioritizationMode: RunQueuePrioritizationMode) {
        upsertRunQueue(input: {entityName: $entityName, projectName: $projectName,
                queueName: $queueName, resourceType: $resourceType,
                resourceConfig: $resourceConfig, templateVariables: $templateVariables,
                prioritizationMode: $prioritizationMode}) {
            success configSchemaValidationErrors
        }
    }",
);

pub(super) const ITEMS: Operation = repeatable(
    "GetRunQueueItems",
    "query GetRunQueueItems($projectName: String!, $entityName: String!, $runQueue: String!) {
        project(name: $projectName, entityName: $entityName) {
            runQueue(name: $runQueue) {
                runQueueItems(first: 100) { edges { node { id state associatedRunId } } }
            }
        }
    }",
);

pub(super) const ITEM: Operation = repeatable(
    "GetRunQueueItem",
    "query GetRunQueueItem($projectName: String!, $entityName: String!, $runQueue: String!,
            $itemId: ID!) {
        project(name: $projectName, entityName: $entityName) {
            runQueue(name: $runQueue) {
                runQueueItem(id: $itemId) { id state associatedRunId }
            }
        }
    }",
);

pub(super) const REGISTER: Operation = once(
    "createLaunchAgent",
    "mutation createLaunchAgent($entity: String!, $project: String!, $queues: [ID!]!,
            $hostname: String!, $agentConfig: JSONString, $version: String) {
        createLaunchAgent(input: {entityName: $entity, projectName: $project,
                runQueues: $queues, hostname: $hostname, agentConfig: $agentConfig,
                version: $version}) {
            launchAgentId
        }
    }",
);

pub(super) const AGENT: Operation = repeatable(
    "LaunchAgent",
    "query LaunchAgent($agentId: ID!) {
        launchAgent(id: $agentId) {
            id name runQueues hostname agentStatus stopPolling heartbeatAt
        }
    }",
);

pub(super) const STATUS: Operation = repeatable(
    "updateLaunchAgent",
    "mutation updateLaunchAgent($agentId: ID!, $agentStatus: String) {
        updateLaunchAgent(input: {launchAgentId: $agentId, agentStatus: $agentStatus}) {
            success
        }
    }",
);

pub(super) const POP: Operation = once(
    "popFromRunQueue",
    "mutation popFromRunQueue($entity: String!, $project: String!, $queueName: String!,
            $launchAgentId: ID) {
        popFromRunQueue(input: {entityName: $entity, projectName: $project,
                queueName: $queueName, launchAgentId: $launchAgentId}) {
            runQueueItemId runSpec
        }
    }",
);

/// Repeatable, because a refusal is looked into: it may be the answer to a lost reply.
pub(super) const ACK: Operation = repeatable(
    "ackRunQueueItem",
    "mutation ackRunQueueItem($itemId: ID!, $runId: String!) {
        ackRunQueueItem(input: {runQueueItemId: $itemId, runName: $runId}) { success }
    }",
);

pub(super) const FAIL: Operation = repeatable(
    "failRunQueueItem",
    "mutation failRunQueueItem($runQueueItemId: ID!, $message: String!, $stage: String!,
            $filePaths: [String!]) {
        failRunQueueItem(input: {runQueueItemId: $runQueueItemId, message: $message,
                stage: $stage, filePaths: $filePaths}) {
            success
        }
    }",
);

pub(super) const WARN: Operation = repeatable(
    "updateRunQueueItemWarning",
    "mutation updateRunQueueItemWarning($runQueueItemId: ID!, $message: String!,
            $stage: String!, $filePaths: [String!]) {
        updateRunQueueItemWarning(input: {runQueueItemId: $runQueueItemId, message: $message,
                stage: $stage, filePaths: $filePaths}) {
            success
        }
    }",
);

pub(super) const DELETE: Operation = repeatable(
    "DeleteFromRunQueue",
    "mutation DeleteFromRunQueue($queueID: ID!, $runQueueItemId: ID!) {
        deleteFromRunQueue(input: {queueID: $queueID, runQueueItemId: $runQueueItemId}) {
            success
        }
    }",
);

pub(super) const RUN_STATE: Operation = repeatable(
    "RunState",
    "query RunState($project: String!, $entity: String!, $name: String!) {
        project(name: $project, entityName: $entity) { run(name: $name) { state } }
    }",
);

pub(super) const RUN_STOPPED: Operation = repeatable(
    "RunStoppedStatus",
    "query RunStoppedStatus($projectName: String, $entityName: String, $runId: String!) {
        project(name: $projectName, entityName: $entityName) {
            run(name: $runId) { stopped }
        }
    }",
);

pub(super) const STOP_RUN: Operation = repeatable(
    "stopRun",
    "mutation stopRun($id: ID!) { stopRun(input: {id: $id}) { success } }",
);

/// What an item in the queue says of itself; not every server tells its priority.
pub(super) const ITEM_PRIORITY: Operation = repeatable(
    "GetRunQueueItemPriority",
    "query GetRunQueueItemPriority($projectName: String!, $entityName: String!,
            $runQueue: String!, $itemId: ID!) {
        project(name: $projectName, entityName: $entityName) {
            runQueue(name: $runQueue) { runQueueItem(id: $itemId) { id priority } }
        }
    }",
);

/// What was pushed; not every server tells it.
pub(super) const ITEM_SPEC: Operation = repeatable(
    "GetRunQueueItemSpec",
    "query GetRunQueueItemSpec($projectName: String!, $entityName: String!,
            $runQueue: String!, $itemId: ID!) {
        project(name: $projectName, entityName: $entityName) {
            runQueue(name: $runQueue) { runQueueItem(id: $itemId) { id runSpec } }
        }
    }",
);

pub(super) const VIEWER: Operation =
    repeatable("Viewer", "query Viewer { viewer { id entity username } }");

pub(super) const UPSERT_MODEL: Operation = repeatable(
    "UpsertModel",
    "mutation UpsertModel($name: String!, $entity: String!) {
        upsertModel(input: {name: $name, entityName: $entity}) { model { name } }
    }",
);

pub(super) const METADATA: Operation = repeatable(
    "GetRunQueueMetadata",
    "query GetRunQueueMetadata($projectName: String!, $entityName: String!,
            $queueName: String!) {
        project(name: $projectName, entityName: $entityName) {
            runQueue(name: $queueName) {
                id access defaultResourceConfigID prioritizationMode externalLinks
            }
        }
    }",
);

pub(super) const RESOURCE_CONFIG: Operation = repeatable(
    "GetDefaultResourceConfig",
    "query GetDefaultResourceConfig($entityName: String!, $id: ID!) {
        entity(name: $entityName) {
            defaultResourceConfig(id: $id) {
                config resource templateVariables { name schema }
            }
        }
    }",
);

pub(super) const SWEEP: Operation = repeatable(
    "GetSweepState",
    "query GetSweepState($sweep: String!, $entity: String, $project: String) {
        project(name: $project, entityName: $entity) {
            sweep(sweepName: $sweep) { id state }
        }
    }",
);

pub(super) const UPSERT_SWEEP: Operation = repeatable(
    "UpsertSweep",
    "mutation UpsertSweep($id: ID, $state: String, $entityName: String, $projectName: String) {
        upsertSweep(input: {id: $id, state: $state, entityName: $entityName,
                projectName: $projectName}) {
            sweep { name state }
        }
    }",
);

pub(super) const UPSERT_RUN: Operation = repeatable(
    "UpsertBucket",
    "mutation UpsertBucket($name: String, $project: String, $entity: String,
            $jobType: String, $host: String, $program: String) {
        upsertBucket(input: {name: $name, modelName: $project, entityName: $entity,
                jobType: $jobType, host: $host, program: $program}) {
            bucket { id name project { name entity { name } } }
            inserted
        }
    }",
);

pub(super) const CREATE_FILES: Operation = repeatable(
    "CreateRunFiles",
    "mutation CreateRunFiles($entity: String!, $project: String!, $run: String!,
            $files: [String!]!) {
        createRunFiles(input: {entityName: $entity, projectName: $project, runName: $run,
                files: $files}) {
            runID uploadHeaders files { name uploadUrl }
        }
    }",
);

pub(super) const ARTIFACT: Operation = repeatable(
    "ArtifactMembershipByName",
    "query ArtifactMembershipByName($entity: String!, $project: String!, $name: String!) {
        project(name: $project, entityName: $entity) {
            artifactCollectionMembership(name: $name) {
                versionIndex
                artifact { id state artifactType { name } }
            }
        }
    }",
);

pub(super) const ARTIFACT_BY_ID: Operation = repeatable(
    "ArtifactByID",
    "query ArtifactByID($id: ID!) {
        artifact(id: $id) { id state versionIndex artifactType { name } }
    }",
);

pub(super) const ARTIFACT_NAME: Operation = repeatable(
    "ArtifactName",
    "query ArtifactName($id: ID!) {
        artifact(id: $id) {
            versionIndex artifactSequence { name project { name entity { name } } }
        }
    }",
);

pub(super) const MANIFEST: Operation = repeatable(
    "FetchArtifactManifest",
    "query FetchArtifactManifest($id: ID!) {
        artifact(id: $id) { currentManifest { file { directUrl } } }
    }",
);

pub(super) const FILE_URLS: Operation = repeatable(
    "ArtifactFileURLs",
    "query ArtifactFileURLs($id: ID!, $cursor: String, $perPage: Int) {
        artifact(id: $id) {
            files(after: $cursor, first: $perPage) {
                pageInfo { hasNextPage endCursor }
                edges { node { name directUrl } }
            }
        }
    }",
);

/// The push by a queue's id, of servers that are older than the one by name.
pub(super) const PUSH_BY_ID: Operation = once(
    "pushToRunQueue",
    "mutation pushToRunQueue($queueID: ID!, $runSpec: JSONString!) {
        pushToRunQueue(input: {queueID: $queueID, runSpec: $runSpec}) { runQueueItemId }
    }",
);

/// The push by a queue's name, with the variables that are used and no others: an older
/// server refuses a document that declares what it does not know.
pub(super) fn push(priority: bool, values: bool) -> String {
    let (mut declared, mut given) = (String::new(), String::new());
    if priority {
        declared += ", $priority: Int";
        given += ", priority: $priority";
    }
    if values {
        declared += ", $templateVariableValues: JSONString";
        given += ", templateVariableValues: $templateVariableValues";
    }
    format!(
        "mutation pushToRunQueueByName($entityName: String!, $projectName: String!,
            $queueName: String!, $runSpec: JSONString!{declared}) {{
        pushToRunQueueByName(input: {{entityName: $entityName, projectName: $projectName,
                queueName: $queueName, runSpec: $runSpec{given}}}) {{
            runQueueItemId
        }}
    }}"
    )
}

/// The name of [`push`].
pub(super) const PUSH: &str = "pushToRunQueueByName";
