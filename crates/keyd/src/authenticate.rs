//! `authenticate`: from raw bytes to a caller, in the order of identity's rules.
//!
//! Claim, clock, scope, coverage, credential, signature, liveness; only then what is asked. The
//! answer to an unknown key costs the same work as that to a wrong signature.

use std::sync::Arc;

use writ_aws::sigv4::{
    self, Claim, Form, PayloadMode, ProtocolFamily, RawRequest, SigError, SigningKey, Verified,
};
use writ_aws::{Protocol, Service};
use writ_keyd_client::caller::{Caller, CallerKind};
use writ_keyd_client::protocol::{
    Authenticate, Authenticated, AwsRefusal, Handle, Payload, Refusal, Reply, Role,
};
use writ_model::{Arn, Region, Timestamp};
use writ_proof::hash::sha256;

use crate::admissions::{Opened, SigningKeyName, TooMany, Window};
use crate::credential::{self, Holder, Owner};
use crate::engine::Engine;
use crate::handles::Admitted;
use crate::limits;
use crate::operations::{self, Part};
use crate::refuse::{forbidden, unavailable};
use crate::request::{self, Asked};

/// IAM and STS sign for this region wherever they are.
const GLOBAL_REGION: &str = "us-east-1";

/// A request whose signature is right and whose signer is live.
pub(crate) struct Signed<'a> {
    pub(crate) request: &'a Authenticate,
    pub(crate) claim: Claim,
    pub(crate) verified: Verified,
    pub(crate) caller: Caller,
    pub(crate) opened: Arc<Opened>,
    pub(crate) service: Service,
}

impl Signed<'_> {
    /// How long the signature is good for.
    pub(crate) fn window(&self) -> Window {
        let until = signature_end(&self.claim, self.service.protocol());
        let signature = self.verified.signature_digest;
        Window { signature, account: self.caller.account, until }
    }

    /// How chunks will follow, each signed on from this signature, if they will.
    pub(crate) fn signed_chunks(&self) -> Option<PayloadMode> {
        let Payload::Declared(literal) = &self.request.payload else { return None };
        PayloadMode::parse(literal).ok().filter(|mode| mode.has_chunk_signatures())
    }
}

impl Engine {
    pub(crate) fn authenticate(
        &self,
        role: Role,
        request: &Authenticate,
    ) -> Result<Reply, Refusal> {
        self.check_loaded()?;
        let raw = RawRequest {
            method: &request.method,
            path: &request.path,
            query: &request.query,
            headers: &request.headers,
        };
        let family =
            if role == Role::S3 { ProtocolFamily::S3 } else { request::likely_family(request) };
        let claim = sigv4::parse(&raw).map_err(|error| say(&error, family, None))?;
        let claim = claim.ok_or_else(|| say(&SigError::MissingAuthentication, family, None))?;
        let service = Service::from_signing_name(&claim.scope.service);
        let service = service.filter(|service| (*service == Service::S3) == (role == Role::S3));
        let Some(service) = service else {
            let expected = if role == Role::S3 { "s3" } else { "kms" };
            let wrong = sigv4::check_scope(&claim, expected, &request.region);
            let error = wrong.err().unwrap_or(SigError::MissingAuthentication);
            return Err(say(&error, family, None));
        };
        let family = request::family(service);
        self.check_claim(&raw, &claim, service, &request.region)
            .map_err(|error| say(&error, family, None))?;
        if claim.form == Form::Header && claim.signed_at < self.started {
            return Err(unavailable("the request was signed before the key module started"));
        }
        let signed = self.verify(request, &raw, claim, service)?;
        let answer = self.admit(role, signed)?;
        Ok(Reply::Authenticated(Box::new(answer)))
    }

    fn check_claim(
        &self,
        raw: &RawRequest<'_>,
        claim: &Claim,
        service: Service,
        region: &Region,
    ) -> Result<(), SigError> {
        let family = request::family(service);
        sigv4::check_window(claim, self.env.now(), family.window())?;
        let global = matches!(service, Service::Iam | Service::Sts)
            && claim.scope.region.as_str() == GLOBAL_REGION;
        let expected = if global { &claim.scope.region } else { region };
        sigv4::check_scope(claim, service.signing_name(), expected)?;
        sigv4::check_signed_headers(raw, claim, family)
    }

    fn verify<'a>(
        &self,
        request: &'a Authenticate,
        raw: &RawRequest<'_>,
        claim: Claim,
        service: Service,
    ) -> Result<Signed<'a>, Refusal> {
        let family = request::family(service);
        let literal;
        let payload = match (&request.payload, service) {
            (Payload::Body(body), s) if s != Service::S3 => sigv4::Payload::Body(body),
            (Payload::Declared(declared), Service::S3) => {
                literal = sigv4::s3_payload_literal(raw, &claim);
                let literal = literal.as_ref().map_err(|error| say(error, family, None))?;
                if literal != declared {
                    return Err(forbidden("the declared payload is not the one in the request"));
                }
                sigv4::Payload::Declared(literal)
            }
            _ => return Err(forbidden("the payload is not of the service's form")),
        };
        let opened = self.open_credential(request, &claim).map_err(|error| {
            // An unknown key is answered after the same derivation and comparison as a known one.
            drop(sigv4::verify(&dummy_key(&claim), raw, &claim, payload));
            say(&error, family, None)
        })?;
        let verified = sigv4::verify(&opened.key, raw, &claim, payload)
            .map_err(|error| say(&error, family, None))?;
        let caller = self
            .caller(&claim, &opened.holder)
            .ok_or_else(|| say(&unknown(&claim), family, None))?;
        let now = self.env.now();
        if caller.session.as_ref().is_some_and(|session| session.expires <= now) {
            return Err(say(&SigError::TokenExpired, family, Some(caller)));
        }
        if !self.catalogue.read().is_live(&caller, now) {
            return Err(say(&unknown(&claim), family, Some(caller)));
        }
        self.remember_signer(caller.account)?;
        Ok(Signed { request, claim, verified, caller, opened, service })
    }

    /// The credential of the claim: the store's for a long-term key, the token's for a session.
    fn open_credential(
        &self,
        request: &Authenticate,
        claim: &Claim,
    ) -> Result<Arc<Opened>, SigError> {
        let bytes = match (&claim.session_token, &request.credential) {
            (Some(token), _) => credential::token_bytes(token).ok_or(SigError::TokenInvalid)?,
            (None, Some(wrapped)) => wrapped.clone(),
            (None, None) => return Err(unknown(claim)),
        };
        let name = SigningKeyName {
            access_key_id: claim.access_key_id.clone(),
            date: claim.scope.date.clone(),
            region: claim.scope.region.to_string(),
            service: claim.scope.service.clone(),
            credential: sha256(&bytes).0,
        };
        // A token must come with the request, a long-term credential must not.
        let fits =
            |holder: &Holder| matches!(holder, Holder::Session(_)) == claim.session_token.is_some();
        let cached = self.signing_keys.lock().get(&name);
        if let Some(opened) = cached.filter(|opened| fits(&opened.holder)) {
            return Ok(opened);
        }
        let wrapped = credential::open(&self.domain, &bytes).ok_or_else(|| unknown(claim))?;
        if wrapped.id.as_str() != claim.access_key_id || !fits(&wrapped.holder) {
            return Err(SigError::TokenInvalid);
        }
        let scope = &claim.scope;
        let secret = wrapped.secret.expose();
        let key = SigningKey::derive(secret, &scope.date, scope.region.as_str(), &scope.service);
        let opened = Arc::new(Opened { key, holder: wrapped.holder });
        self.signing_keys.lock().put(name, Arc::clone(&opened));
        Ok(opened)
    }

    /// Who the holder of a credential is now.
    fn caller(&self, claim: &Claim, holder: &Holder) -> Option<Caller> {
        let owner = match holder {
            Holder::Session(caller) => return Some(Caller::clone(caller)),
            Holder::LongTerm(owner) => owner,
        };
        let access_key_id = claim.access_key_id.parse().ok()?;
        let Owner { account, user, delegated, .. } = owner;
        let (kind, arn, unique_id, user_name) = match user {
            None => (CallerKind::Root, Arn::root(*account), account.to_string(), None),
            Some(id) => {
                let catalogue = self.catalogue.read();
                let user = catalogue.user(id).filter(|user| user.account == *account)?;
                (CallerKind::User, user.arn.clone(), id.clone(), Some(user.name.clone()))
            }
        };
        let (account, delegated) = (*account, *delegated);
        let session = None;
        Some(Caller { kind, account, arn, unique_id, user_name, access_key_id, session, delegated })
    }

    fn admit(&self, role: Role, signed: Signed<'_>) -> Result<Authenticated, Refusal> {
        let presigned = matches!(signed.claim.form, Form::Presigned { .. });
        let found = request::classified(signed.service, signed.request, self.s3_domain.as_deref());
        let asked = found.as_ref().and_then(|found| request::asked(found, signed.request));
        let mut handle = None;
        let mut ticket = None;
        if role == Role::S3 {
            ticket = asked.map(|asked| self.mint(&signed, &asked)).transpose()?.flatten();
            handle = Some(self.begin_upload(&signed)?);
        } else if !presigned && let Some(asked) = asked {
            handle = self.keep(&signed, asked)?;
        }
        Ok(Authenticated {
            handle: handle.unwrap_or_else(|| self.env.nonce()),
            caller: signed.caller,
            service: signed.claim.scope.service.clone(),
            operation: found.map(|found| found.name.to_owned()).unwrap_or_default(),
            request_digest: signed.verified.request_digest,
            signature_digest: signed.verified.signature_digest,
            presigned,
            ticket,
            forwarded: None,
        })
    }

    /// Counts an admission that leads to a use of keys.
    pub(crate) fn count_admission(&self, signed: &Signed<'_>) -> Result<(), Refusal> {
        // A presigned URL is meant to be used many times until its end.
        if matches!(signed.claim.form, Form::Presigned { .. }) {
            return Ok(());
        }
        let counted =
            self.admissions.lock().admit(&signed.window(), limits::ADMISSIONS_PER_SIGNATURE);
        counted.map_err(|why| too_many(&why, &signed.caller))
    }

    /// Keeps what was asked, for operations that keyd has a part in.
    fn keep(&self, signed: &Signed<'_>, asked: Asked) -> Result<Option<Handle>, Refusal> {
        match operations::part(signed.service, asked.operation.name) {
            None => return Ok(None),
            // It counts when its handle is spent: what is denied before may be asked again.
            Some(Part::Issue | Part::Seal) => {
                let signature = &signed.verified.signature_digest;
                let max = operations::per_signature(asked.operation.name);
                if self.admissions.lock().count(signature) >= max {
                    return Err(too_many(&TooMany::Repeats, &signed.caller));
                }
            }
            Some(Part::Use) => self.count_admission(signed)?,
        }
        let request = signed.request;
        let admitted = Admitted {
            caller: signed.caller.clone(),
            service: signed.service,
            operation: asked.operation.name,
            input: asked.input,
            region: request.region.clone(),
            network: request.network.clone(),
            user_agent: request::header(request, "user-agent").map(str::to_owned),
            referer: request::header(request, "referer").map(str::to_owned),
            request_id: request.request_id,
            event_id: request.event_id,
            request_digest: signed.verified.request_digest,
            signature_digest: signed.verified.signature_digest,
            window: Some(signed.window()),
            forwarded: None,
            weight: asked.weight,
        };
        let handle = self.handles.lock().issue(admitted, &*self.env);
        handle.map(Some).ok_or_else(|| unavailable("too many requests are unanswered"))
    }
}

pub(crate) fn too_many(why: &TooMany, caller: &Caller) -> Refusal {
    match why {
        TooMany::Repeats => Refusal::Repeated(Box::new(caller.clone())),
        TooMany::Full => unavailable("too many signatures are in their window"),
    }
}

fn unknown(claim: &Claim) -> SigError {
    SigError::UnknownAccessKey { access_key_id: claim.access_key_id.clone() }
}

fn dummy_key(claim: &Claim) -> SigningKey {
    let scope = &claim.scope;
    SigningKey::derive(&[0; 40], &scope.date, scope.region.as_str(), &scope.service)
}

fn say(error: &SigError, family: ProtocolFamily, caller: Option<Caller>) -> Refusal {
    let fault = error.to_aws(family);
    let (code, message, status) = (fault.code.to_owned(), fault.message, fault.status);
    Refusal::Aws(Box::new(AwsRefusal { code, message, status, caller }))
}

/// The end of a request's signature: of its window, or of a presigned URL.
pub(crate) fn signature_end(claim: &Claim, protocol: Protocol) -> Timestamp {
    match claim.form {
        Form::Presigned { expires } => claim.signed_at.plus(expires),
        Form::Header if protocol == Protocol::RestXml => {
            claim.signed_at.plus(ProtocolFamily::S3.window())
        }
        Form::Header => claim.signed_at.plus(ProtocolFamily::Json.window()),
    }
}
