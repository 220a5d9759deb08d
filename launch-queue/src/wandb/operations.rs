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
    "mutation failRunQueueItem($runQueueItemId: ID!, $message: String!, $stage: String!) {
        failRunQueueItem(input: {runQueueItemId: $runQueueItemId, message: $message,
                stage: $stage}) {
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
