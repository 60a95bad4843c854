//! The condition keys that Writ knows, and which of them can have several values.
//!
//! Source: "AWS global condition context keys" and the service authorization reference. Policies may
//! use other keys too; they are absent unless a service supplies them.

/// Keys with several values, in lower case. Tag and organization-path keys among them.
const MULTI_VALUED: [&str; 12] = [
    "aws:calledvia",
    "aws:principalorgpaths",
    "aws:principalservicenameslist",
    "aws:resourceorgpaths",
    "aws:sourceorgpaths",
    "aws:tagkeys",
    "aws:vpceorgpaths",
    "kms:encryptioncontextkeys",
    "kms:grantoperations",
    "kms:resourcealiases",
    "s3:requestobjecttagkeys",
    "sts:transitivetagkeys",
];

/// True if the key (any case) can have several values, so that a condition on it wants
/// `ForAllValues:` or `ForAnyValue:`.
pub fn is_multi_valued(key: &str) -> bool {
    MULTI_VALUED.iter().any(|known| known.eq_ignore_ascii_case(key))
}

macro_rules! keys {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        $($(#[$doc])* pub const $name: &str = $text;)*

        /// Every key above, as AWS writes it. Keys that end in `/` take a tag or member name.
        pub const KNOWN: &[&str] = &[$($name),*];
    };
}

keys! {
    /// ARN of the caller; for a role session the role's.
    PRINCIPAL_ARN = "aws:PrincipalArn";
    /// Account of the caller; `anonymous` for unsigned requests.
    PRINCIPAL_ACCOUNT = "aws:PrincipalAccount";
    /// Organization of the caller.
    PRINCIPAL_ORG_ID = "aws:PrincipalOrgID";
    /// Organization path of the caller (multi-valued).
    PRINCIPAL_ORG_PATHS = "aws:PrincipalOrgPaths";
    /// A tag of the caller.
    PRINCIPAL_TAG = "aws:PrincipalTag/";
    /// Whether a service itself calls.
    PRINCIPAL_IS_AWS_SERVICE = "aws:PrincipalIsAWSService";
    /// The service that calls.
    PRINCIPAL_SERVICE_NAME = "aws:PrincipalServiceName";
    /// All names of the service that calls (multi-valued).
    PRINCIPAL_SERVICE_NAMES_LIST = "aws:PrincipalServiceNamesList";
    /// Account, User, AssumedRole, FederatedUser or Anonymous.
    PRINCIPAL_TYPE = "aws:PrincipalType";
    /// Unique id of the caller.
    USER_ID = "aws:userid";
    /// Name of an IAM user.
    USER_NAME = "aws:username";
    /// The credential came from AssumeRoot.
    ASSUMED_ROOT = "aws:AssumedRoot";
    /// The identity provider of the session.
    FEDERATED_PROVIDER = "aws:FederatedProvider";
    /// When the session's credential was issued.
    TOKEN_ISSUE_TIME = "aws:TokenIssueTime";
    /// Seconds since MFA; absent without it.
    MULTI_FACTOR_AUTH_AGE = "aws:MultiFactorAuthAge";
    /// Absent, not false, for long-term keys.
    MULTI_FACTOR_AUTH_PRESENT = "aws:MultiFactorAuthPresent";
    /// Source identity of the session.
    SOURCE_IDENTITY = "aws:SourceIdentity";
    /// Chat configuration behind the session.
    CHATBOT_SOURCE_ARN = "aws:ChatbotSourceArn";
    /// VPC to which the instance's credential was given.
    EC2_INSTANCE_SOURCE_VPC = "aws:Ec2InstanceSourceVpc";
    /// Private address to which the instance's credential was given.
    EC2_INSTANCE_SOURCE_PRIVATE_IPV4 = "aws:Ec2InstanceSourcePrivateIPv4";
    /// Version of the metadata service that gave the credential.
    EC2_ROLE_DELIVERY = "ec2:RoleDelivery";
    /// Instance that uses the role.
    EC2_SOURCE_INSTANCE_ARN = "ec2:SourceInstanceArn";
    /// Service that assumed the role for Glue.
    GLUE_ROLE_ASSUMED_BY = "glue:RoleAssumedBy";
    /// Service that issued the credential for Glue.
    GLUE_CREDENTIAL_ISSUING_SERVICE = "glue:CredentialIssuingService";
    /// Function that uses the role.
    LAMBDA_SOURCE_FUNCTION_ARN = "lambda:SourceFunctionArn";
    /// Managed instance that uses the role.
    SSM_SOURCE_INSTANCE_ARN = "ssm:SourceInstanceArn";
    /// User of the identity store.
    IDENTITYSTORE_USER_ID = "identitystore:UserId";
    /// Address of the client.
    SOURCE_IP = "aws:SourceIp";
    /// VPC of the client.
    SOURCE_VPC = "aws:SourceVpc";
    /// ARN of the VPC of the client.
    SOURCE_VPC_ARN = "aws:SourceVpcArn";
    /// VPC endpoint of the request.
    SOURCE_VPCE = "aws:SourceVpce";
    /// Account of the VPC endpoint.
    VPCE_ACCOUNT = "aws:VpceAccount";
    /// Organization of the VPC endpoint.
    VPCE_ORG_ID = "aws:VpceOrgID";
    /// Organization path of the VPC endpoint (multi-valued).
    VPCE_ORG_PATHS = "aws:VpceOrgPaths";
    /// Address of the client within its VPC.
    VPC_SOURCE_IP = "aws:VpcSourceIp";
    /// Account of the resource.
    RESOURCE_ACCOUNT = "aws:ResourceAccount";
    /// Organization of the resource.
    RESOURCE_ORG_ID = "aws:ResourceOrgID";
    /// Organization path of the resource (multi-valued).
    RESOURCE_ORG_PATHS = "aws:ResourceOrgPaths";
    /// A tag of the resource.
    RESOURCE_TAG = "aws:ResourceTag/";
    /// Services that called on the caller's behalf, first to last (multi-valued).
    CALLED_VIA = "aws:CalledVia";
    /// First service of the chain.
    CALLED_VIA_FIRST = "aws:CalledViaFirst";
    /// Last service of the chain.
    CALLED_VIA_LAST = "aws:CalledViaLast";
    /// Whether a service calls on the caller's behalf.
    VIA_AWS_SERVICE = "aws:ViaAWSService";
    /// Time of the request, ISO 8601.
    CURRENT_TIME = "aws:CurrentTime";
    /// Time of the request, seconds since 1970.
    EPOCH_TIME = "aws:EpochTime";
    /// HTTP referer.
    REFERER = "aws:referer";
    /// Region of the endpoint.
    REQUESTED_REGION = "aws:RequestedRegion";
    /// A tag in the request.
    REQUEST_TAG = "aws:RequestTag/";
    /// Names of the tags in the request (multi-valued).
    TAG_KEYS = "aws:TagKeys";
    /// Whether the request came over TLS.
    SECURE_TRANSPORT = "aws:SecureTransport";
    /// Account for whose resource a service calls.
    SOURCE_ACCOUNT = "aws:SourceAccount";
    /// Resource for which a service calls.
    SOURCE_ARN = "aws:SourceArn";
    /// Organization of that resource.
    SOURCE_ORG_ID = "aws:SourceOrgID";
    /// Organization path of that resource (multi-valued).
    SOURCE_ORG_PATHS = "aws:SourceOrgPaths";
    /// HTTP user agent.
    USER_AGENT = "aws:UserAgent";
    /// The action was asked through an AWS MCP server.
    IS_MCP_SERVICE_ACTION = "aws:IsMcpServiceAction";
    /// External id of AssumeRole.
    STS_EXTERNAL_ID = "sts:ExternalId";
    /// Session name asked for.
    STS_ROLE_SESSION_NAME = "sts:RoleSessionName";
    /// Source identity asked for.
    STS_SOURCE_IDENTITY = "sts:SourceIdentity";
    /// Tags that pass on when roles are chained (multi-valued).
    STS_TRANSITIVE_TAG_KEYS = "sts:TransitiveTagKeys";
    /// Seconds of the session asked for.
    STS_DURATION_SECONDS = "sts:DurationSeconds";
    /// Service that asks for a bearer token.
    STS_AWS_SERVICE_NAME = "sts:AWSServiceName";
    /// Context that an identity provider asserted.
    STS_REQUEST_CONTEXT = "sts:RequestContext/";
    /// Task policy of AssumeRoot.
    STS_TASK_POLICY_ARN = "sts:TaskPolicyArn";
    /// Audience of an outbound identity token.
    STS_IDENTITY_TOKEN_AUDIENCE = "sts:IdentityTokenAudience";
    /// Signing algorithm of an outbound identity token.
    STS_SIGNING_ALGORITHM = "sts:SigningAlgorithm";
    /// Service that a role is passed to.
    IAM_PASSED_TO_SERVICE = "iam:PassedToService";
    /// Managed policy that is attached or detached.
    IAM_POLICY_ARN = "iam:PolicyARN";
    /// Boundary that is set.
    IAM_PERMISSIONS_BOUNDARY = "iam:PermissionsBoundary";
    /// Resource that a passed role is used for.
    IAM_ASSOCIATED_RESOURCE_ARN = "iam:AssociatedResourceArn";
    /// Service that a service-linked role is for.
    IAM_AWS_SERVICE_NAME = "iam:AWSServiceName";
    /// Organization policy of an access report.
    IAM_ORGANIZATIONS_POLICY_ID = "iam:OrganizationsPolicyId";
    /// A tag of the IAM resource.
    IAM_RESOURCE_TAG = "iam:ResourceTag/";
    /// FIDO certification that a device has.
    IAM_FIDO_CERTIFICATION = "iam:FIDO-certification";
    /// FIPS 140-2 certification of a device.
    IAM_FIDO_FIPS_140_2 = "iam:FIDO-FIPS-140-2-certification";
    /// FIPS 140-3 certification of a device.
    IAM_FIDO_FIPS_140_3 = "iam:FIDO-FIPS-140-3-certification";
    /// How a security key is registered.
    IAM_REGISTER_SECURITY_KEY = "iam:RegisterSecurityKey";
    /// Days that a service-specific credential lives.
    IAM_SERVICE_SPECIFIC_CREDENTIAL_AGE_DAYS = "iam:ServiceSpecificCredentialAgeDays";
    /// Whether this use of a key rests on the key policy's delegation to the account (Writ's own).
    WRIT_DELEGATED = "writ:Delegated";
    /// Whether the credential came about by what only identity policies decided (Writ's own).
    WRIT_CREDENTIAL_DELEGATED = "writ:CredentialDelegated";
}
