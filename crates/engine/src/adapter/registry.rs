//! The adapters of a session by name, of which at most one is active. Changing it loads nothing and changes no weight.

use std::path::Path;

use tunesmith_ops::{Backend, Code, Error, Result};

use super::peft::Adapter;
use crate::decoder::Decoder;
use crate::optimizer::Parameters;

/// Name of the adapter that a session is made with (PEFT's).
pub const DEFAULT_ADAPTER: &str = "default";

/// Loaded adapters.
pub struct Adapters<B: Backend> {
    list: Vec<(String, Adapter<B>)>,
    /// The one in the decoder.
    active: Option<String>,
    /// The one that was set last, active or disabled.
    chosen: Option<String>,
    /// The one that is trained; the optimizer's moments are its.
    trained: Option<String>,
}

impl<B: Backend> Default for Adapters<B> {
    fn default() -> Self {
        Self { list: Vec::new(), active: None, chosen: None, trained: None }
    }
}

impl<B: Backend> Adapters<B> {
    /// Names, in the order of loading.
    pub fn names(&self) -> Vec<&str> {
        self.list.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// The active adapter.
    pub fn active(&self) -> Option<&str> {
        self.active.as_deref()
    }

    /// The trained adapter.
    pub fn trained(&self) -> Option<&Adapter<B>> {
        self.trained.as_deref().and_then(|name| self.find(name))
    }

    /// Whether what an update would change is what the decoder computes with.
    pub fn trains_the_active(&self) -> bool {
        self.trained == self.active
    }

    /// Puts in the adapter a session begins with.
    ///
    /// # Errors
    /// Whatever the backend fails with.
    pub fn begin(
        &mut self,
        adapter: Adapter<B>,
        trained: bool,
        decoder: &mut Decoder<B>,
        parameters: &mut Parameters<B>,
    ) -> Result<()> {
        self.list.push((DEFAULT_ADAPTER.to_owned(), adapter));
        self.trained = trained.then(|| DEFAULT_ADAPTER.to_owned());
        self.set(DEFAULT_ADAPTER, decoder, parameters)
    }

    /// Loads a PEFT folder under a name, without activating it. The active adapter is out of the decoder meanwhile: what is loaded is
    /// made for the base.
    ///
    /// # Errors
    /// `ArgumentInvalid` for a name that is taken or empty; those of [`Adapter::read`].
    pub fn load(
        &mut self,
        backend: &B,
        decoder: &mut Decoder<B>,
        parameters: &mut Parameters<B>,
        (dir, name): (&Path, &str),
    ) -> Result<()> {
        if name.is_empty() || self.find(name).is_some() {
            let got = if name.is_empty() { "an empty one".to_owned() } else { format!("{name:?}") };
            return Err(Error::argument("loadAdapter.name", "a name of its own", got + "; choose another name"));
        }
        let active = self.active.clone();
        self.disable(decoder, parameters)?;
        let read = Adapter::read(backend, decoder, dir);
        if let Some(active) = active {
            self.toggle(&active, decoder, parameters)?;
            self.active = Some(active);
        }
        self.list.push((name.to_owned(), read?));
        Ok(())
    }

    /// Makes an adapter the active one; the one before it is taken out.
    ///
    /// # Errors
    /// `ArgumentInvalid` for a name that is not loaded.
    pub fn set(&mut self, name: &str, decoder: &mut Decoder<B>, parameters: &mut Parameters<B>) -> Result<()> {
        self.known("setAdapter.name", name)?;
        if self.active.as_deref() != Some(name) {
            self.disable(decoder, parameters)?;
            self.toggle(name, decoder, parameters)?;
            self.active = Some(name.to_owned());
        }
        self.chosen = Some(name.to_owned());
        Ok(())
    }

    /// Takes the active adapter out: what remains is the base model, to the bit.
    ///
    /// # Errors
    /// `Internal` only.
    pub fn disable(&mut self, decoder: &mut Decoder<B>, parameters: &mut Parameters<B>) -> Result<()> {
        match self.active.take() {
            Some(active) => self.toggle(&active, decoder, parameters),
            None => Ok(()),
        }
    }

    /// Puts the adapter that was disabled back.
    ///
    /// # Errors
    /// `ArgumentInvalid` when no adapter was ever set.
    pub fn enable(&mut self, decoder: &mut Decoder<B>, parameters: &mut Parameters<B>) -> Result<()> {
        match self.chosen.clone() {
            Some(name) => self.set(&name, decoder, parameters),
            None => Err(Error::argument("enableAdapter", "an adapter", "none; load one and set it first")),
        }
    }

    /// Frees an adapter. The active one is taken out first.
    ///
    /// # Errors
    /// `ArgumentInvalid` for a name that is not loaded, or the trained adapter.
    pub fn delete(&mut self, name: &str, decoder: &mut Decoder<B>, parameters: &mut Parameters<B>) -> Result<()> {
        self.known("deleteAdapter.name", name)?;
        if self.trained.as_deref() == Some(name) {
            let got = format!("{name:?}; dispose of the session in its place");
            return Err(Error::argument("deleteAdapter.name", "an adapter that is not trained", got));
        }
        if self.active.as_deref() == Some(name) {
            self.disable(decoder, parameters)?;
        }
        self.chosen = self.chosen.take().filter(|chosen| chosen != name);
        self.list.retain(|(loaded, _)| loaded != name);
        Ok(())
    }

    /// The tensors that are trained; `parameters` are those in the decoder.
    pub fn trained_parameters<'a>(&'a self, parameters: &'a Parameters<B>) -> &'a Parameters<B> {
        match self.trained() {
            Some(adapter) if !self.trains_the_active() => &adapter.parameters,
            _ => parameters,
        }
    }

    /// The same, to be changed.
    pub fn trained_parameters_mut<'a>(&'a mut self, parameters: &'a mut Parameters<B>) -> &'a mut Parameters<B> {
        if self.trains_the_active() {
            return parameters;
        }
        let trained = self.trained.as_deref();
        match self.list.iter_mut().find(|(name, _)| Some(name.as_str()) == trained) {
            Some((_, adapter)) => &mut adapter.parameters,
            None => parameters,
        }
    }

    /// The adapter that saving writes, with its tensors: the trained one, or else the active one.
    pub fn to_save<'a>(&'a self, parameters: &'a Parameters<B>) -> Option<(&'a Adapter<B>, &'a Parameters<B>)> {
        match self.trained() {
            Some(adapter) => Some((adapter, self.trained_parameters(parameters))),
            None => self.active().and_then(|name| self.find(name)).map(|adapter| (adapter, parameters)),
        }
    }

    fn find(&self, name: &str) -> Option<&Adapter<B>> {
        self.list.iter().find(|(loaded, _)| loaded == name).map(|(_, adapter)| adapter)
    }

    fn known(&self, place: &str, name: &str) -> Result<()> {
        if self.find(name).is_some() {
            return Ok(());
        }
        let names = self.names().join(", ");
        let expected = if names.is_empty() { "an adapter, of which none is loaded".to_owned() } else { names };
        Err(Error::new(
            Code::ArgumentInvalid,
            place,
            format!("expected {expected}, got {name:?}; load it under this name first"),
        ))
    }

    fn toggle(&mut self, name: &str, decoder: &mut Decoder<B>, parameters: &mut Parameters<B>) -> Result<()> {
        match self.list.iter_mut().find(|(loaded, _)| loaded == name) {
            Some((_, adapter)) => adapter.toggle(decoder, parameters),
            None => Err(crate::internal::internal("adapters", "an adapter of this session")),
        }
    }
}
